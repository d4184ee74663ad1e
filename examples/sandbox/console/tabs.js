// The tabs beside the picture: arrow keys move, as ARIA's pattern has it.

const tabs = [...document.querySelectorAll('[role=tab]')];

// Shows the tab whose panel has this id.
export function show(panel) {
  for (const tab of tabs) {
    const chosen = tab.getAttribute('aria-controls') === panel;
    tab.setAttribute('aria-selected', String(chosen));
    tab.tabIndex = chosen ? 0 : -1;
    document.getElementById(tab.getAttribute('aria-controls')).hidden = !chosen;
  }
}

for (const [index, tab] of tabs.entries()) {
  tab.addEventListener('click', () => show(tab.getAttribute('aria-controls')));
  tab.addEventListener('keydown', (event) => {
    const to = { ArrowRight: index + 1, ArrowLeft: index - 1, Home: 0, End: tabs.length - 1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    const other = tabs[(to + tabs.length) % tabs.length];
    show(other.getAttribute('aria-controls'));
    other.focus();
  });
}
