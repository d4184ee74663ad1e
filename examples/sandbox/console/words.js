// Tones of states: which shape and colour a word of AWS or Kubernetes has.

const GROUP = {
  Serving: 'good', Waiting: 'busy', Degraded: 'note', Failing: 'bad', Held: 'note', LeftAlone: 'idle', Deleting: 'busy',
};
const HEALTH = {
  healthy: 'good', initial: 'busy', draining: 'busy', unhealthy: 'bad', unused: 'idle', unavailable: 'note',
};
const LOAD_BALANCER = { active: 'good', provisioning: 'busy', active_impaired: 'note', failed: 'bad' };
const EFFECT = { Note: 'idle', Degraded: 'note', Frozen: 'bad' };
const OUTCOME = { ok: 'good', pending: 'busy', refused: 'note', failed: 'bad' };

export const groupTone = (word) => GROUP[word] ?? 'idle';
export const healthTone = (word) => HEALTH[word] ?? 'idle';
export const loadBalancerTone = (word) => LOAD_BALANCER[word] ?? 'idle';
export const effectTone = (word) => EFFECT[word] ?? 'note';
export const outcomeTone = (word) => OUTCOME[word] ?? 'idle';

// `LeftAlone` as people write it.
export const spaced = (word) => word.replace(/([a-z])([A-Z])/g, (_, a, b) => `${a} ${b.toLowerCase()}`);
