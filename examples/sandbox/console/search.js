// The search field: `/` leads there, Esc empties it.

import { count } from './dom.js';
import { search } from './picture.js';

const field = document.getElementById('search');
const found = document.getElementById('found');
let timer = null;

field.addEventListener('input', () => {
  clearTimeout(timer);
  timer = setTimeout(run, 120);
});

function run() {
  const groups = search(field.value);
  found.textContent = field.value.trim() === '' ? '' : groups === 0 ? 'nothing found' : count(groups, 'group');
}

// Empties the search; answers whether there was one.
export function clearSearch() {
  if (field.value === '') return false;
  field.value = '';
  run();
  return true;
}

export function focusSearch() {
  field.focus();
  field.select();
}
