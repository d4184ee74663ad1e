// One polite sentence at a time for screen readers: a burst of changes must
// not become a burst of speech.

const PAUSE = 2000;
const place = document.getElementById('spoken');
let waiting = null;
let last = 0;
let timer = null;

// Says a sentence soon; one that comes before it was said takes its place.
export function announce(sentence) {
  waiting = sentence;
  if (timer !== null) return;
  timer = setTimeout(say, Math.max(0, last + PAUSE - Date.now()));
}

function say() {
  timer = null;
  last = Date.now();
  place.textContent = waiting;
}
