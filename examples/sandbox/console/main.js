// Puts the parts together: what the stream tells, and what people press.

import { el, state } from './dom.js';
import { showLog } from './log.js';
import { measured } from './measure.js';
import * as picture from './picture.js';
import './plan.js';
import { ask, clear, isEmpty, prefill } from './request.js';
import { clearSearch, focusSearch } from './search.js';
import { addEntries, setRate } from './story.js';
import { follow } from './stream.js';
import './tabs.js';
import { refresh } from './try.js';

const change = (work) => (data) => measured('change', () => work(data));
let refreshing = null;

follow({
  picture: (data) => {
    measured('picture', () => picture.setPicture(data));
    document.getElementById('where').textContent = [data.cluster && `cluster ${data.cluster}`, data.region].filter(Boolean).join(' · ');
    if (data.controller) showController(data.controller);
    suggest();
  },
  group: (data) => {
    measured('change', () => picture.setGroup(data));
    suggest();
  },
  gone: change(picture.dropGroup),
  loose: change(picture.setLoose),
  records: change(picture.setRecords),
  controller: showController,
  story: (data) => measured('story', () => addEntries(data)),
  rate: setRate,
});

// What can be tried depends on what is there; and the request box starts with
// a host that is.
function suggest() {
  clearTimeout(refreshing);
  refreshing = setTimeout(refresh, 500);
  const host = isEmpty() && picture.anyHost();
  if (host) prefill(host);
}

function showController(controller) {
  const pods = controller.pods ?? [];
  const place = document.getElementById('controller');
  picture.setController(controller.present);
  if (!controller.present) {
    place.replaceChildren(state('note', 'no Pod of a controller'));
    return;
  }
  place.replaceChildren(
    state(controller.leader ? 'good' : 'busy', controller.leader ? 'a controller leads' : 'no controller leads'),
    el('span', { class: 'logs' }, pods.map((pod, index) => el('button', {
      type: 'button', class: 'link', 'data-action': 'log', 'data-pod': pod,
      'aria-label': `Log of controller pod ${pod}`, title: pod,
    }, pod.endsWith(controller.leader ?? '\n') ? 'log of the leader' : `log of pod ${index + 1}`))));
}

document.addEventListener('click', (event) => {
  const button = event.target.closest('button[data-action]');
  if (!button) return;
  const actions = {
    fold: () => picture.fold(button.closest('[data-group]').dataset.group),
    ask: () => ask(button.dataset.host),
    log: () => showLog(button.dataset.pod),
    'clear-answer': clear,
    'show-trace': picture.showTrace,
  };
  actions[button.dataset.action]?.();
});
document.getElementById('open-all').addEventListener('click', () => picture.foldAll(true));
document.getElementById('fold-all').addEventListener('click', () => picture.foldAll(false));

document.addEventListener('keydown', (event) => {
  const writing = event.target.closest('input, textarea, select, dialog');
  if (event.key === '/' && !writing && !event.ctrlKey && !event.metaKey && !event.altKey) {
    event.preventDefault();
    focusSearch();
  } else if (event.key === 'Escape' && !event.target.closest('dialog')) {
    // First what was searched for, then the trace of a request.
    if (!clearSearch()) clear();
  }
});

refresh();
