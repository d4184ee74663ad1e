// The server-sent events of the console, and what is said while they are lost.

import { state } from './dom.js';

const RETRY = 1000;
const EVENTS = ['picture', 'group', 'gone', 'loose', 'records', 'controller', 'story', 'rate'];

const link = document.getElementById('link');
const lost = document.getElementById('lost');
let lostAt = null;

// Calls `handlers[event](data)` for each event, for as long as the page lives.
export function follow(handlers) {
  const source = new EventSource('/api/stream');
  for (const name of EVENTS) {
    source.addEventListener(name, (event) => {
      // The first thing after each connect is a whole picture: only with it
      // is what is shown the truth again.
      if (name === 'picture') connected();
      handlers[name]?.(JSON.parse(event.data));
    });
  }
  source.addEventListener('error', () => {
    // A browser's own retry waits longer, and gives up on some answers.
    source.close();
    disconnected();
    setTimeout(() => follow(handlers), RETRY);
  });
}

function connected() {
  lostAt = null;
  document.documentElement.dataset.link = 'live';
  link.replaceChildren(state('good', 'Live'));
  lost.hidden = true;
}

function disconnected() {
  if (lostAt) return;
  lostAt = new Date();
  document.documentElement.dataset.link = 'lost';
  link.replaceChildren(state('bad', 'Not connected'));
  lost.textContent =
    `The sandbox does not answer. What you see is as it was at ${lostAt.toLocaleTimeString('en-GB')}. ` +
    'Trying again every second; if the sandbox has ended, start it again and open the address that it prints.';
  lost.hidden = false;
}

link.replaceChildren(state('busy', 'Connecting'));
