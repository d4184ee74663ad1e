// Things to try: each with the line that does the same in a terminal, and
// what to watch for.

import { get, post } from './api.js';
import { el, state } from './dom.js';

const list = document.getElementById('try');

// Fetches what can be tried now.
export async function refresh() {
  try {
    const actions = await get('/api/actions');
    const said = new Map([...list.querySelectorAll('[data-id]')].map((item) => [item.dataset.id, item.querySelector('output')]));
    const focused = document.activeElement?.closest('[data-id]')?.dataset.id;
    list.replaceChildren(...actions.map((action) => item(action, said.get(action.id))));
    if (focused) list.querySelector(`[data-id="${CSS.escape(focused)}"] button`)?.focus();
  } catch (error) {
    // What is shown stays, with what was said of each.
    if (list.querySelector('[data-id]')) return;
    list.replaceChildren(el('li', { class: 'note' }, state('bad', 'unknown'), ' ', error.message));
  }
}

function item(action, output) {
  return el('li', { class: 'item', 'data-id': action.id, 'data-undo': action.undo },
    el('div', { class: 'item-head' },
      el('h3', {}, action.title),
      el('button', { type: 'button', 'data-action': 'try', 'aria-disabled': action.available ? null : 'true', 'aria-label': `Do it: ${action.title}` },
        'Do it')),
    el('pre', { tabindex: 0, 'aria-label': 'The same in a terminal' }, action.command),
    el('p', {}, el('strong', {}, 'Watch for: '), action.watch),
    !action.available && action.why && el('p', { class: 'quiet' }, `Not now: ${action.why}`),
    output ?? el('output', {}));
}

list.addEventListener('click', async (event) => {
  const button = event.target.closest('button[data-action=try]');
  if (!button || button.getAttribute('aria-disabled') === 'true') return;
  const { id } = button.closest('[data-id]').dataset;
  const output = button.closest('[data-id]').querySelector('output');
  button.setAttribute('aria-disabled', 'true');
  output.replaceChildren(state('busy', 'doing it'));
  try {
    const { said } = await post(`/api/actions/${encodeURIComponent(id)}`);
    output.replaceChildren(state('good', 'done'), ` ${said ?? ''}`);
  } catch (error) {
    output.replaceChildren(state('bad', 'not done'), ` ${error.message}`);
  }
  await refresh();
});
