// The tree of one load balancer group, made anew from its data each time;
// `morph` carries only what differs into the page.

import { count, el, state } from './dom.js';
import { effectTone, groupTone, healthTone, loadBalancerTone, spaced } from './words.js';

// A group as an element. `view` says whether it is hidden and unfolded, what is searched
// for (lower case, or empty), and which request is traced through it, if any.
export function groupTree(group, view) {
  const body = `body-${group.key}`;
  return el('article', { class: 'group', 'data-key': `group ${group.key}`, 'data-group': group.key, hidden: view.hidden, 'aria-label': `Group ${group.key}` },
    el('div', { class: 'group-head' },
      el('h3', {},
        el('button', { type: 'button', class: 'fold', 'data-action': 'fold', 'aria-expanded': view.open ? 'true' : 'false', 'aria-controls': body },
          group.key)),
      group.state && state(groupTone(group.state), spaced(group.state)),
      el('p', { class: 'quiet' }, summary(group))),
    el('div', { class: 'group-body', id: body, hidden: !view.open },
      view.open && [notes(group), columns(group, view)]));
}

// What a folded group says: its hosts and how its targets are.
export function summary(group) {
  const hosts = [...new Set(group.ingresses.flatMap((ingress) => ingress.hosts))];
  const shown = hosts.slice(0, 3).join(', ') + (hosts.length > 3 ? ` and ${hosts.length - 3} more` : '');
  const health = counts(targetGroups(group));
  return [shown, health, findings(group)].filter(Boolean).join(' · ');
}

// How the targets of some target groups are: `5 of 6 targets healthy`.
export function counts(groups) {
  let healthy = 0;
  let all = 0;
  for (const group of groups) {
    for (const target of group.targets) {
      all += 1;
      if (target.health === 'healthy') healthy += 1;
    }
  }
  return all === 0 ? '' : `${healthy} of ${count(all, 'target')} healthy`;
}

export const targetGroups = (group) => group.loadBalancer?.targetGroups ?? [];

function findings(group) {
  const number = new Set(allFindings(group).map((finding) => `${finding.ingress} ${finding.message}`)).size;
  return number === 0 ? '' : count(number, 'finding');
}

const allFindings = (group) => [...(group.findings ?? []), ...group.ingresses.flatMap((ingress) => ingress.findings ?? [])];

// What concerns the group as a whole.
function notes(group) {
  const members = new Set(group.ingresses.map((ingress) => `${ingress.namespace}/${ingress.name}`));
  const lines = [
    ...(group.failures ?? []).map((text) => ['bad', 'failed', text]),
    ...(group.waitingFor ?? []).map((text) => ['busy', 'waits', text]),
    ...(group.findings ?? []).filter((finding) => !members.has(finding.ingress))
      .map((finding) => [effectTone(finding.effect), finding.reason, `${finding.ingress}: ${finding.message}`]),
  ];
  return el('div', { class: 'notes' },
    group.stateText && el('p', {}, group.stateText),
    lines.map(([tone, word, text]) => el('p', { class: 'note' }, state(tone, word), ' ', text)));
}

function columns(group, view) {
  return el('div', { class: 'flow' },
    el('section', { class: 'step' },
      el('h4', {}, 'Ingresses'),
      el('ul', {}, group.ingresses.map((ingress) => ingressItem(ingress, view))),
      el('h4', {}, 'DNS records'),
      (group.records ?? []).length === 0
        ? el('p', { class: 'quiet' }, 'None.')
        : el('ul', {}, group.records.map((record) => recordItem(record, view)))),
    group.loadBalancer
      ? [
        el('section', { class: 'step' }, el('h4', {}, 'Load balancer'), loadBalancer(group.loadBalancer, view)),
        el('section', { class: 'step' }, el('h4', {}, 'Target groups'),
          el('ul', {}, group.loadBalancer.targetGroups.map((each) => targetGroup(each, view)))),
      ]
      : el('section', { class: 'step' }, el('h4', {}, 'Load balancer'), el('p', { class: 'quiet' }, 'There is none.')));
}

function hit(view, ...data) {
  return view.query !== '' && data.some((each) => each && JSON.stringify(each).toLowerCase().includes(view.query));
}

// An Ingress with its hosts, whether it is served, and what is wrong with it.
export function ingressItem(ingress, view) {
  const name = `${ingress.namespace}/${ingress.name}`;
  const findings = ingress.findings ?? [];
  const [tone, word] = ingressState(ingress, findings);
  // A sentence that has the finding in it stands in its place.
  const told = findings.find((finding) => ingress.servedText?.includes(finding.message));
  const annotations = Object.entries(ingress.annotations ?? {});
  return el('li', { class: 'item ingress', 'data-key': `ingress ${name}`, 'data-ingress': name, 'data-hit': hit(view, { ...ingress, annotations: null }, name) },
    el('div', { class: 'item-head' }, el('strong', {}, name), state(tone, word)),
    ingress.servedText && !told && el('p', { class: ingress.served ? 'quiet' : '' }, ingress.servedText),
    findings.map((finding) => el('p', { class: 'note finding' },
      state(effectTone(finding.effect), finding.reason), ' ', el('span', {}, finding === told ? ingress.servedText : finding.message))),
    el('ul', { class: 'paths' }, (ingress.paths ?? []).map((path) => el('li', {},
      el('code', {}, `${path.host || '*'}${path.path ?? ''}`), ' → ', `${path.service}${path.port ? `:${path.port}` : ''}`))),
    el('div', { class: 'tools' },
      el('span', { class: 'quiet' }, `class ${ingress.class ?? 'none'}`),
      (ingress.hosts ?? []).length > 0 && el('button', {
        type: 'button', 'data-action': 'ask', 'data-host': ingress.hosts[0], 'aria-label': `Send a request to ${ingress.hosts[0]}`,
      }, 'send a request')),
    annotations.length > 0 && el('details', {},
      el('summary', {}, count(annotations.length, 'annotation')),
      el('dl', {}, annotations.map(([key, value]) => [el('dt', {}, key), el('dd', {}, value)]))));
}

function ingressState(ingress, findings) {
  if (ingress.deleting) return ['busy', 'being deleted'];
  if (ingress.served) return ['good', 'served'];
  return ['bad', findings.some((finding) => finding.effect === 'Frozen') ? 'frozen' : 'not served'];
}

// A DNS record with who owns it.
export function recordItem(record, view) {
  const key = `${record.zone} ${record.name} ${record.type}`;
  return el('li', { class: 'item record', 'data-key': `record ${key}`, 'data-record': record.name, 'data-hit': hit(view, record) },
    el('div', { class: 'item-head' }, el('strong', {}, record.name), el('span', { class: 'tag' }, record.type)),
    el('p', { class: 'quiet' }, '→ ', el('code', {}, record.value)),
    el('p', {}, record.text),
    el('p', { class: 'quiet' }, `owner: ${record.owner}`));
}

function loadBalancer(live, view) {
  return el('div', { class: 'item', 'data-key': `load balancer ${live.arn}`, 'data-hit': hit(view, live.arn, live.name, live.dnsName) },
    el('div', { class: 'item-head' }, el('strong', {}, live.name), state(loadBalancerTone(live.state), live.state)),
    el('p', { class: 'quiet' }, el('code', {}, live.dnsName)),
    live.url && el('p', {}, el('a', { href: live.url, target: '_blank', rel: 'noreferrer' }, 'open in this browser')),
    el('details', {},
      el('summary', {}, 'ARN, scheme, security groups'),
      el('dl', {},
        el('dt', {}, 'ARN'), el('dd', {}, live.arn),
        el('dt', {}, 'scheme, type'), el('dd', {}, `${live.scheme}, ${live.type}`),
        el('dt', {}, 'security groups'), el('dd', {}, (live.securityGroups ?? []).join(', ') || 'none'))),
    live.listeners.length === 0 && el('p', { class: 'quiet' }, 'No listener yet.'),
    live.listeners.map((each) => listener(each, view)));
}

function listener(live, view) {
  const traced = view.trace?.listener === live.arn;
  const certificates = live.certificates ?? [];
  return el('section', { class: 'listener', 'data-key': `listener ${live.arn}`, 'data-trace': traced && 'on', 'data-hit': hit(view, live.arn, certificates) },
    el('h5', {}, `Listener ${live.protocol}:${live.port}`),
    traced && el('p', { class: 'why' }, 'The request came in here.'),
    certificates.length > 0 && el('p', { class: 'quiet', title: certificates.join('\n') }, count(certificates.length, 'certificate')),
    el('ol', { class: 'rules' }, live.rules.map((each) => rule(each, traced ? view.trace : null, view))));
}

function rule(live, trace, view) {
  const looked = trace?.rules.find((each) => each.arn === live.arn);
  const how = !trace ? null : looked ? (looked.matched ? 'match' : 'no') : 'off';
  const why = !trace ? null : looked ? looked.why : 'a rule before it took the request';
  return el('li', { class: 'item rule', 'data-key': `rule ${live.arn}`, 'data-priority': live.priority, 'data-trace': how, 'data-hit': hit(view, live) },
    el('div', { class: 'item-head' },
      el('span', { class: 'tag priority' }, el('span', { class: 'hidden' }, 'priority '), String(live.priority)),
      el('span', { class: 'conditions' },
        (live.conditions ?? []).length === 0 ? 'anything else' : live.conditions.map((text, index) => [index > 0 && ' and ', el('code', {}, text)]))),
    el('p', {}, '→ ', live.action),
    live.ingress && el('p', { class: 'quiet' }, `from Ingress ${live.ingress}`),
    why && el('p', { class: 'why' }, state({ match: 'good', no: 'idle', off: 'idle' }[how], { match: 'matches:', no: 'does not match:', off: 'skipped:' }[how]), ' ', why));
}

function targetGroup(live, view) {
  const traced = view.trace?.targetGroup === live.arn;
  const named = Object.entries(live.counts ?? {}).filter(([, number]) => number > 0);
  return el('li', { class: 'item target-group', 'data-key': `target group ${live.arn}`, 'data-trace': traced && 'on', 'data-hit': hit(view, live.arn, live.name, live.service) },
    el('div', { class: 'item-head' }, el('strong', {}, live.service ?? live.name),
      el('span', { class: 'counts' }, named.length === 0 ? state('idle', 'no target')
        : named.map(([word, number]) => state(healthTone(word), `${number} ${word}`)))),
    el('p', { class: 'quiet' }, el('code', {}, live.name)),
    el('p', { class: 'quiet' }, `${live.protocol}, targets are ${live.targetType === 'ip' ? 'pods' : 'nodes'} (${live.targetType}). ${live.healthCheck ? `Health check: ${live.healthCheck}.` : ''}`),
    el('ul', { class: 'targets' }, live.targets.map((each) => target(each, traced ? view.trace.target : null, view))));
}

function target(live, chosen, view) {
  const traced = chosen && chosen.id === live.id && Number(chosen.port) === Number(live.port);
  const place = [live.node?.split('.')[0], live.zone].filter(Boolean).join(', ');
  return el('li', { class: 'target', 'data-key': `target ${live.id}:${live.port}`, 'data-health': live.health, 'data-pod': live.pod, 'data-trace': traced && 'on', 'data-hit': hit(view, live) },
    state(healthTone(live.health), live.health),
    el('span', { class: 'who' },
      live.pod
        ? el('button', { type: 'button', class: 'link', 'data-action': 'log', 'data-pod': live.pod, title: 'show its log', 'aria-label': `Log of pod ${live.pod}` }, live.pod.split('/')[1])
        : el('span', {}, live.id),
      el('span', { class: 'quiet' }, live.pod ? `${live.id}:${live.port}${place ? ` on ${place}` : ''}` : `port ${live.port}${place ? `, ${place}` : ''}`)),
    live.health !== 'healthy' && (live.text || live.description || live.reason)
      && el('p', { class: 'reason' }, live.text ?? [live.reason, live.description].filter(Boolean).join(': ')),
    live.container && live.health === 'unhealthy' && el('p', { class: 'quiet reason' }, `container: ${live.container}`),
    traced && el('p', { class: 'why' }, 'The request went here.'));
}
