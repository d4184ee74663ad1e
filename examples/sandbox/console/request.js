// The request box: sends a request through the simulated load balancer, and
// says which rule took it, where it went and why.

import { post } from './api.js';
import { el, state } from './dom.js';
import { listenersOf, setTrace } from './picture.js';

const form = document.getElementById('request');
const place = document.getElementById('answer');

form.addEventListener('submit', async (event) => {
  event.preventDefault();
  const fields = Object.fromEntries(new FormData(form));
  const send = form.querySelector('[type=submit]');
  send.disabled = true;
  try {
    const request = {
      method: fields.method,
      url: fields.url.includes('://') ? fields.url.trim() : `http://${fields.url.trim()}`,
      headers: headers(fields.headers),
    };
    if (fields.source.trim()) request.source = fields.source.trim();
    if (fields.body) request.body = fields.body;
    const answer = await post('/api/request', request);
    show(request, answer);
    setTrace(answer);
  } catch (error) {
    setTrace(null);
    place.replaceChildren(el('p', { class: 'note' }, state('bad', 'not sent'), ' ', error.message));
    place.hidden = false;
  } finally {
    send.disabled = false;
  }
});

// Fills the box for a host, and leads there.
export function ask(host) {
  prefill(host);
  form.elements.url.focus();
  form.elements.url.select();
}

// Fills the box for a host.
export function prefill(host) {
  const secure = listenersOf(host).some((listener) => listener.protocol === 'HTTPS');
  form.elements.url.value = `${secure ? 'https' : 'http'}://${host.replace('*', 'www')}/`;
}

export const isEmpty = () => form.elements.url.value === '';

// Ends the trace; answers whether there was one.
export function clear() {
  if (place.hidden) return false;
  setTrace(null);
  place.hidden = true;
  place.replaceChildren();
  return true;
}

function headers(text) {
  const lines = text.split('\n').map((line) => line.trim()).filter(Boolean);
  return Object.fromEntries(lines.map((line) => {
    const at = line.indexOf(':');
    if (at < 1) throw new Error(`A header is written as "name: value", not "${line}".`);
    return [line.slice(0, at).trim(), line.slice(at + 1).trim()];
  }));
}

function show(request, answer) {
  const rules = answer.rules ?? [];
  const matched = rules.find((rule) => rule.matched);
  // Without a status no connection came about.
  const tone = !answer.status || answer.status >= 500 ? 'bad' : answer.status >= 400 ? 'note' : 'good';
  const target = answer.target && (answer.target.pod ? `pod ${answer.target.pod}` : `${answer.target.id}:${answer.target.port}`);
  const sentences = [
    matched && `${matched.priority === 'default' ? 'The default rule' : `Rule ${matched.priority}`} took it: ${answer.action}.`,
    target && `${target.replace(/^p/, 'P')} answered${answer.why ? `: ${answer.why}` : ''}.`,
    answer.reason && `No target answered: ${answer.reason}.`,
  ].filter(Boolean).map((sentence) => sentence.replace(/\.\.$/, '.'));
  place.replaceChildren(
    el('div', { class: 'item-head' },
      el('h3', {}, state(tone, `${answer.status ?? 'no answer'}`), ` ${request.method} ${request.url}`),
      el('div', { class: 'tools' },
        answer.listener && el('button', { type: 'button', 'data-action': 'show-trace' }, 'Show in the picture'),
        el('button', { type: 'button', 'data-action': 'clear-answer' }, 'Clear'))),
    el('p', { class: 'verdict' }, sentences.join(' ')),
    rules.length > 0 && el('ol', { class: 'looked' }, rules.map((rule) => el('li', { 'data-trace': rule.matched ? 'match' : 'no' },
      el('span', { class: 'tag' }, rule.priority === 'default' ? 'Default rule' : `Rule ${rule.priority}`),
      state(rule.matched ? 'good' : 'idle', rule.matched ? 'matches:' : 'does not match:'),
      el('span', {}, rule.why)))),
    el('details', {},
      el('summary', {}, 'headers and body of the answer'),
      el('pre', { tabindex: 0 }, [
        ...Object.entries(answer.headers ?? {}).map(([name, value]) => `${name}: ${value}`), '', answer.body ?? '',
      ].join('\n'))),
    el('details', {},
      el('summary', {}, 'the same in a terminal'),
      el('pre', { tabindex: 0 }, (answer.text ?? []).join('\n'))));
  place.hidden = false;
}
