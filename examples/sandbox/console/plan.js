// What would change: the controller's dry run on manifests that nobody has
// applied.

import { post } from './api.js';
import { el, state } from './dom.js';

const form = document.getElementById('plan');
const place = document.getElementById('plan-answer');

const EXAMPLE = `apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: trial
  namespace: default
  annotations:
    alb.ingress.kubernetes.io/scheme: internet-facing
    alb.ingress.kubernetes.io/target-type: ip
spec:
  ingressClassName: alb
  rules:
    - host: trial.example.com
      http:
        paths:
          - path: /
            pathType: Prefix
            backend:
              service:
                name: trial
                port: {number: 80}
`;
form.elements.yaml.value = EXAMPLE;

form.addEventListener('submit', async (event) => {
  event.preventDefault();
  const button = form.querySelector('[type=submit]');
  button.disabled = true;
  place.replaceChildren(el('p', { class: 'note' }, state('busy', 'asking'), ' The controller reads the cluster and the account.'));
  try {
    const plan = await post('/api/plan', { yaml: form.elements.yaml.value });
    // A finding is no change, and yet no good news.
    const found = plan.lines.some((line) => line.trimStart().startsWith('! '));
    place.replaceChildren(
      el('p', { class: 'note verdict' }, state(plan.changes || found ? 'note' : 'good', plan.changes ? 'would change' : 'nothing would change'),
        ` if this were applied: ${plan.objects.join(', ')}.`),
      el('pre', { class: 'lines', tabindex: 0 }, plan.lines.join('\n')));
  } catch (error) {
    place.replaceChildren(el('p', { class: 'note' }, state('bad', 'no plan'), ' ', error.message));
  } finally {
    button.disabled = false;
  }
});
