// The picture: which groups there are, which are unfolded, and what has just
// changed. A change touches the tree of its group and nothing else.

import { announce } from './announce.js';
import { count, el, morph } from './dom.js';
import { counts, groupTree, ingressItem, recordItem, summary, targetGroups } from './group.js';

// More groups than this start folded.
const MANY = 12;
// How long a change is marked.
const MARKED = 6000;

const place = document.getElementById('picture');
const totals = document.getElementById('totals');
const groups = new Map();
const unfolded = new Map();
const marks = new WeakMap();
let openAtFirst = true;
let loose = [];
let records = [];
let query = '';
let trace = null;
let whole = false;

const groupsPlace = el('div', { class: 'groups' });
const restPlace = el('div', { class: 'rest' });
const empty = el('div', { class: 'empty' },
  el('p', { id: 'empty-text' }),
  el('pre', {}, 'kubectl apply -k examples/2048'));
place.append(empty, groupsPlace, restPlace);
empty.hidden = true;

// Everything anew: at the start, and after a lost connection.
export function setPicture(picture) {
  const keys = new Set(picture.groups.map((group) => group.key));
  for (const key of [...groups.keys()]) if (!keys.has(key)) drop(key);
  if (!whole) openAtFirst = picture.groups.length <= MANY;
  for (const group of picture.groups) put(group, whole);
  loose = picture.loose ?? [];
  records = picture.records ?? [];
  showRest(whole);
  whole = true;
  showTotals();
}

// Says what is to be done where there is nothing yet.
export function setController(present) {
  document.getElementById('empty-text').textContent = present
    ? 'No load balancer group yet. An Ingress of class alb makes one; in a terminal of the sandbox:'
    : 'No load balancer group yet, and no Pod of a controller. Start a controller, as the sandbox has printed, and make an Ingress for it; in a terminal of the sandbox:';
}

// One group, new or changed.
export function setGroup(group) {
  put(group, true);
  showTotals();
  announce(`Group ${group.key} changed: ${[group.state, summary(group)].filter(Boolean).join(', ')}`);
}

// A group that is no more.
export function dropGroup({ key }) {
  drop(key);
  showTotals();
  announce(`Group ${key} is gone`);
}

// Ingresses of no group.
export function setLoose(ingresses) {
  loose = ingresses;
  showRest(true);
}

// All records of the zones; those of groups are shown with them.
export function setRecords(all) {
  records = all;
  showRest(true);
}

// Shows only what has `text` in it, and unfolds few hits; answers how many
// groups that are.
export function search(text) {
  query = text.trim().toLowerCase();
  const hits = [...groups.values()].filter((each) => matches(each.group));
  for (const each of groups.values()) {
    each.searched = query !== '' && hits.length <= 5 && hits.includes(each);
    render(each, false);
  }
  showRest(false);
  return hits.length;
}

// Lights up the way of a request; null ends that.
export function setTrace(answer) {
  const before = trace?.group;
  trace = answer;
  for (const key of new Set([before, trace?.group])) {
    const each = groups.get(key);
    if (!each) continue;
    if (trace?.group === key) unfolded.set(key, true);
    render(each, false);
  }
}

// Brings the way of the traced request into view.
export function showTrace() {
  const item = place.querySelector('.rule[data-trace=match]') ?? place.querySelector('.listener[data-trace=on]');
  item?.scrollIntoView({ block: 'center' });
}

// A host to ask for, of whichever Ingress comes first.
export function anyHost() {
  for (const { group } of groups.values()) {
    for (const ingress of group.ingresses) if (ingress.hosts?.length > 0) return ingress.hosts[0];
  }
  return null;
}

// The listeners of a host's load balancer, to guess a scheme from.
export function listenersOf(host) {
  for (const { group } of groups.values()) {
    if (group.ingresses.some((ingress) => ingress.hosts?.includes(host))) return group.loadBalancer?.listeners ?? [];
  }
  return [];
}

export const groupKeys = () => [...groups.keys()];

// Folds or unfolds one group.
export function fold(key) {
  const each = groups.get(key);
  unfolded.set(key, !isOpen(each));
  each.searched = false;
  render(each, false);
}

// Folds or unfolds all.
export function foldAll(open) {
  for (const [key, each] of groups) {
    unfolded.set(key, open);
    each.searched = false;
    render(each, false);
  }
}

function put(group, marked) {
  const known = groups.get(group.key);
  if (known) {
    known.group = group;
    known.text = null;
    render(known, marked);
    return;
  }
  const each = { group, element: null, text: null, searched: false };
  groups.set(group.key, each);
  each.element = groupTree(group, view(each));
  const after = [...groupsPlace.children].find((other) => other.dataset.group > group.key);
  groupsPlace.insertBefore(each.element, after ?? null);
  if (marked) mark(each.element, 'new');
}

function drop(key) {
  groups.get(key)?.element.remove();
  groups.delete(key);
}

function render(each, marked) {
  const seen = new Map();
  morph(each.element, groupTree(each.group, view(each)), (element, word) => {
    if (marked && element && seen.get(element) !== 'new') seen.set(element, word);
  });
  // Only the innermost: what holds a changed thing has not changed itself.
  const all = [...seen.keys()];
  for (const [element, word] of seen) {
    if (!all.some((other) => other !== element && element.contains(other))) mark(element, word);
  }
}

function view(each) {
  return { hidden: !matches(each.group), open: isOpen(each), query, trace: trace?.group === each.group.key ? trace : null };
}

function isOpen(each) {
  return each.searched || (unfolded.get(each.group.key) ?? openAtFirst);
}

function matches(group) {
  if (query === '') return true;
  const each = groups.get(group.key);
  each.text ??= JSON.stringify(group).toLowerCase();
  return each.text.includes(query) || group.ingresses.some((ingress) => `${ingress.namespace}/${ingress.name}`.includes(query));
}

// An outline that fades, and the word. The word is the page's, not the
// data's: `morph` leaves it alone.
function mark(element, word) {
  if (!element.isConnected) return;
  clearTimeout(marks.get(element));
  element.querySelector(':scope > .mark')?.remove();
  element.setAttribute('data-changed', word);
  // Another animation of the same looks, so that the outline fades anew.
  element.setAttribute('data-beat', element.getAttribute('data-beat') === 'a' ? 'b' : 'a');
  element.append(el('span', { class: 'mark' }, word));
  marks.set(element, setTimeout(() => {
    element.removeAttribute('data-changed');
    element.querySelector(':scope > .mark')?.remove();
  }, MARKED));
}

function showRest(marked) {
  const others = records.filter((record) => !record.group);
  const look = { query, trace: null };
  const wanted = el('div', { class: 'rest' },
    loose.length > 0 && el('section', { class: 'loose' },
      el('h3', {}, 'Ingresses of no group'),
      el('ul', {}, loose.map((ingress) => ingressItem(ingress, look)))),
    others.length > 0 && el('details', {},
      el('summary', {}, el('h3', {}, `Other DNS records (${others.length})`)),
      el('ul', {}, others.map((record) => recordItem(record, look)))));
  morph(restPlace, wanted, (element, word) => marked && element && mark(element, word));
}

function showTotals() {
  const all = [...groups.values()].map((each) => each.group);
  totals.textContent = [count(all.length, 'group'), counts(all.flatMap(targetGroups))].filter(Boolean).join(' · ');
  empty.hidden = all.length > 0 || loose.length > 0;
}
