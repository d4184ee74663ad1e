// The story: what the controller planned, waited for, found and asked of AWS,
// newest first.

import { count, el, state } from './dom.js';
import { outcomeTone } from './words.js';

// So many entries are kept; the oldest go.
const KEPT = 1000;
// Kinds of which it matters that they ended well.
const ENDS = new Set(['plan', 'outcome', 'wait']);

const list = document.getElementById('story');
const shownCount = document.getElementById('story-count');
const minute = document.getElementById('minute');
const rateText = document.getElementById('rate');
const form = document.getElementById('filters');
// Oldest first, as {entry, element}; and the same by id.
let order = [];
const byId = new Map();
let rate = null;

// New entries, and changed ones under their old id.
export function addEntries(entries) {
  for (const entry of entries) {
    const known = byId.get(entry.id);
    if (known) {
      const element = item(entry);
      known.element.replaceWith(element);
      Object.assign(known, { entry, element });
    } else {
      const each = { entry, element: item(entry) };
      byId.set(entry.id, each);
      insert(each);
    }
    option('group', entry.group);
    if (entry.action) option('operation', entry.action);
  }
  while (order.length > KEPT) {
    const old = order.shift();
    old.element.remove();
    byId.delete(old.entry.id);
  }
  filter();
  showMinute();
}

// Calls of the last minute.
export function setRate(next) {
  rate = next;
  rateText.textContent = `${count(rate.perMinute, 'call')} a minute`;
  rateText.title = `${rate.reads} reads, ${rate.writes} writes, ${rate.throttled} throttled`;
  showMinute();
}

// Entries come almost in order, so the place is near the end.
function insert(each) {
  let at = order.length;
  while (at > 0 && order[at - 1].entry.at > each.entry.at) at -= 1;
  const after = at > 0 ? order[at - 1].element : null;
  order.splice(at, 0, each);
  list.insertBefore(each.element, after);
}

function item(entry) {
  const call = entry.kind === 'call';
  const lines = entry.lines ?? [];
  const word = call ? (entry.write ? 'write' : 'read') : entry.kind;
  return el('li', { class: 'entry', 'data-kind': entry.kind, 'data-write': call && entry.write, 'data-outcome': entry.outcome },
    el('div', { class: 'entry-head' },
      el('time', { datetime: entry.at, title: entry.at }, clock(entry.at)),
      el('span', { class: 'tag kind' }, word),
      el('span', { class: 'group-name' }, entry.group),
      entry.outcome && (entry.outcome !== 'ok' || ENDS.has(entry.kind)) && state(outcomeTone(entry.outcome), entry.outcome),
      call && entry.milliseconds !== null && entry.milliseconds !== undefined && el('span', { class: 'quiet ms' }, `${Math.round(entry.milliseconds)} ms`)),
    el('p', { class: 'title' }, entry.title),
    entry.kind === 'plan' ? el('pre', { class: 'lines', tabindex: lines.length > 12 ? 0 : null }, lines.join('\n'))
      : lines.map((line) => el('p', { class: 'quiet' }, line)),
    about(entry) && el('p', { class: 'quiet' }, about(entry)),
    call && el('details', { 'data-id': entry.id }, el('summary', {}, 'parameters and answer')));
}

// The object of Kubernetes that an Event is about, where its title does not say so.
function about(entry) {
  const name = entry.resource?.split(' ')[1];
  return entry.kind === 'event' && name && !entry.title.includes(name) ? `About ${entry.resource}` : null;
}

// What a call was asked and answered; made only when somebody unfolds it.
function details(entry) {
  const rows = [
    ['call', `${entry.service} ${entry.action}`],
    ['by', entry.caller],
    ['answer', [entry.status, entry.code, entry.answer].filter(Boolean).join(' ')],
  ].filter(([, value]) => value);
  const parameters = entry.parameters && Object.keys(entry.parameters).length > 0;
  return [
    el('dl', {}, rows.map(([name, value]) => [el('dt', {}, name), el('dd', {}, value)])),
    parameters ? el('pre', { tabindex: 0 }, JSON.stringify(entry.parameters, null, 2)) : '',
  ];
}

function clock(at) {
  return new Date(at).toLocaleTimeString('en-GB');
}

function option(name, value) {
  const select = form.elements[name];
  const options = [...select.options];
  if (!value || options.some((each) => each.value === value)) return;
  const after = options.find((each, index) => index > 0 && each.value > value);
  select.insertBefore(new Option(value, value), after ?? null);
}

function filter() {
  const { group, operation, outcome, calls } = Object.fromEntries(new FormData(form));
  let shown = 0;
  for (const { entry, element } of order) {
    const call = entry.kind === 'call';
    const wanted = (!group || entry.group === group)
      && (!operation || entry.action === operation)
      && (!outcome || entry.outcome === outcome)
      && (!calls || (calls === 'none' ? !call : call && (calls === 'write') === Boolean(entry.write)));
    element.hidden = !wanted;
    if (wanted) shown += 1;
  }
  shownCount.textContent = shown === order.length
    ? `${count(shown, 'entry', 'entries')}, the newest first.`
    : `${shown} of ${count(order.length, 'entry', 'entries')}, the newest first.`;
}

// What the controller did in the last minute, in a sentence.
function showMinute() {
  const since = new Date(Date.now() - 60000).toISOString();
  const recent = order.map((each) => each.entry).filter((entry) => entry.at >= since);
  const number = (test) => recent.filter(test).length;
  const plans = recent.filter((entry) => entry.kind === 'plan');
  const groups = [...new Set(plans.map((entry) => entry.group))];
  const did = [
    rate && `${count(rate.perMinute, 'call')} to AWS (${count(rate.reads, 'read')}, ${count(rate.writes, 'write')}, ${rate.throttled} throttled)`,
    plans.length > 0 && `${count(plans.length, 'plan')} for ${groups.slice(0, 3).join(', ')}${groups.length > 3 ? ' and others' : ''}`,
    count(number((entry) => entry.outcome === 'failed' || entry.outcome === 'refused'), 'refusal or failure', 'refusals or failures'),
  ].filter(Boolean);
  minute.textContent = `In the last minute: ${did.join(', ')}.`;
}

list.addEventListener('toggle', (event) => {
  const { target } = event;
  const known = byId.get(target.dataset.id);
  if (known && target.open && target.childElementCount === 1) target.append(...details(known.entry));
}, true);
form.addEventListener('change', filter);
form.addEventListener('submit', (event) => event.preventDefault());
setInterval(showMinute, 5000);
showMinute();
