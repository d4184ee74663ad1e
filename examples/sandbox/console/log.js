// The log of a pod, as `kubectl logs` has it.

import { get } from './api.js';

const AGAIN = 2000;

const dialog = document.getElementById('log');
const title = document.getElementById('log-title');
const command = document.getElementById('log-command');
const text = document.getElementById('log-text');
const follow = document.getElementById('log-follow');
let pod = null;
let timer = null;

// Shows the log of `namespace/name`.
export function showLog(which) {
  pod = which;
  const [namespace, name] = pod.split('/');
  title.textContent = `Log of ${pod}`;
  command.textContent = `kubectl logs -n ${namespace} ${name} --tail=200`;
  text.textContent = '';
  dialog.showModal();
  read();
}

async function read() {
  const [namespace, name] = pod.split('/').map(encodeURIComponent);
  const asked = pod;
  let said;
  try {
    said = (await get(`/api/pods/${namespace}/${name}/log?tail=200`, 'text')) || 'It has written nothing yet.';
  } catch (error) {
    said = error.message;
  }
  if (asked !== pod || !dialog.open) return;
  const atEnd = text.scrollHeight - text.scrollTop - text.clientHeight < 40;
  if (text.textContent !== said) text.textContent = said;
  if (atEnd) text.scrollTop = text.scrollHeight;
  clearTimeout(timer);
  timer = setTimeout(() => (follow.checked ? read() : undefined), AGAIN);
}

follow.addEventListener('change', () => follow.checked && dialog.open && read());
document.getElementById('log-close').addEventListener('click', () => dialog.close());
dialog.addEventListener('close', () => clearTimeout(timer));
