// How long the page's own script works, for whoever wants the figure: as
// performance measures, and as attributes of the document.

let worst = 0;

// Runs `work` as the measure `name`; answers what it answers.
export function measured(name, work) {
  const start = performance.now();
  const result = work();
  const end = performance.now();
  performance.measure(name, { start, end });
  if (performance.getEntriesByName(name).length > 200) performance.clearMeasures(name);
  const root = document.documentElement.dataset;
  if (name === 'picture') {
    root.pictureScriptMs = (end - start).toFixed(1);
    // From the start of the navigation to the first picture in the document.
    root.firstPictureMs ??= end.toFixed(1);
  } else if (name === 'change') {
    worst = Math.max(worst, end - start);
    root.changeMs = (end - start).toFixed(1);
    root.worstChangeMs = worst.toFixed(1);
    root.changes = String(Number(root.changes ?? 0) + 1);
  }
  return result;
}
