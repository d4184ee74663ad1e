// Elements from data, and the least change from one tree to another. All data
// becomes text nodes and attributes, never markup.

const SVG = 'http://www.w3.org/2000/svg';

// An element with attributes and children. Attributes and children that are
// null, undefined or false are left out; true is an empty attribute.
export function el(tag, attributes, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    element.setAttribute(name, value === true ? '' : String(value));
  }
  append(element, children);
  return element;
}

function append(element, children) {
  for (const child of children) {
    if (child === null || child === undefined || child === false) continue;
    if (Array.isArray(child)) append(element, child);
    else element.append(child instanceof Node ? child : String(child));
  }
}

// One shape for each tone, so that no state is told by its colour alone.
const SHAPES = {
  good: 'M6 1.2a4.8 4.8 0 1 1 0 9.6 4.8 4.8 0 0 1 0-9.6Z',
  busy: 'M6 1.2a4.8 4.8 0 1 1 0 9.6 4.8 4.8 0 0 1 0-9.6Zm0 1.4v6.8a3.4 3.4 0 0 0 0-6.8Z',
  note: 'M6 .9 11.6 11H.4ZM5.3 4.4v3h1.4v-3Zm0 3.8v1.4h1.4V8.2Z',
  bad: 'M3.6.8h4.8l2.8 2.8v4.8l-2.8 2.8H3.6L.8 8.4V3.6ZM3.4 4.3 5.1 6 3.4 7.7l.9.9L6 6.9l1.7 1.7.9-.9L6.9 6l1.7-1.7-.9-.9L6 5.1 4.3 3.4Z',
  idle: 'M6 1.2a4.8 4.8 0 1 1 0 9.6 4.8 4.8 0 0 1 0-9.6Zm0 1.5a3.3 3.3 0 1 0 0 6.6 3.3 3.3 0 0 0 0-6.6Z',
};

function shape(tone) {
  const svg = document.createElementNS(SVG, 'svg');
  svg.setAttribute('viewBox', '0 0 12 12');
  svg.setAttribute('aria-hidden', 'true');
  const path = document.createElementNS(SVG, 'path');
  path.setAttribute('d', SHAPES[tone] ?? SHAPES.idle);
  path.setAttribute('fill-rule', 'evenodd');
  svg.append(path);
  return svg;
}

// A state as a shape and a word.
export function state(tone, word) {
  return el('span', { class: 'state', 'data-tone': tone }, shape(tone), el('span', {}, word));
}

// Makes `from` look like `to`, touching only what differs; `changed` is told
// each keyed element that is new or whose text is another. What people have
// unfolded and the marks of earlier changes stay.
export function morph(from, to, changed) {
  if (from.nodeType === Node.TEXT_NODE) {
    if (from.data !== to.data) {
      from.data = to.data;
      changed(from.parentElement.closest('[data-key]'), 'changed');
    }
    return;
  }
  for (const { name } of [...from.attributes]) {
    if (!to.hasAttribute(name) && !KEPT.has(name)) from.removeAttribute(name);
  }
  for (const { name, value } of to.attributes) {
    if (!KEPT.has(name) && from.getAttribute(name) !== value) from.setAttribute(name, value);
  }
  morphChildren(from, to, changed);
}

// Belong to the person or to a mark, not to the data.
const KEPT = new Set(['open', 'data-changed', 'data-beat']);

function morphChildren(from, to, changed) {
  const keyed = new Map();
  for (const child of from.children) {
    if (child.dataset.key !== undefined) keyed.set(child.dataset.key, child);
  }
  let at = next(from.firstChild);
  for (const wanted of [...to.childNodes]) {
    const key = wanted.dataset?.key;
    let found = null;
    if (key !== undefined) found = keyed.get(key) ?? null;
    else if (at && at.nodeName === wanted.nodeName && at.dataset?.key === undefined) found = at;
    if (found && found.nodeName === wanted.nodeName) {
      if (found === at) at = next(at.nextSibling);
      else from.insertBefore(found, at);
      keyed.delete(key);
      morph(found, wanted, changed);
    } else {
      from.insertBefore(wanted, at);
      if (key !== undefined) changed(wanted, 'new');
      else changed(from.closest('[data-key]'), 'changed');
    }
  }
  while (at) {
    const gone = at;
    at = next(at.nextSibling);
    gone.remove();
    changed(from.closest('[data-key]'), 'changed');
  }
}

function next(node) {
  while (node && node.nodeType === Node.ELEMENT_NODE && node.classList.contains('mark')) node = node.nextSibling;
  return node;
}

// A count with its noun.
export function count(number, one, many = `${one}s`) {
  return `${number} ${number === 1 ? one : many}`;
}
