// The console's own API; a refusal becomes an Error with the server's sentence.

// Posts JSON; answers what comes back, as JSON.
export async function post(path, body) {
  const answer = await fetch(path, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body ?? {}),
  }).catch(() => { throw new Error('The sandbox does not answer.'); });
  const text = await answer.text();
  if (!answer.ok) throw new Error(refusal(answer, text));
  return parsed(text);
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    // Not JSON: a sentence for people, or nothing.
    return null;
  }
}

const refusal = (answer, text) => parsed(text)?.error ?? (text.trim() || `The sandbox answered ${answer.status}.`);

// Fetches JSON, or text.
export async function get(path, kind = 'json') {
  const answer = await fetch(path).catch(() => { throw new Error('The sandbox does not answer.'); });
  if (!answer.ok) throw new Error(refusal(answer, await answer.text()));
  return answer[kind]();
}
