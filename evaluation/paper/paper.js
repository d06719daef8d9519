// Shows the charts of the chosen number of TPUs, and brings out one strategy in all charts that
// have strategies.
'use strict';

const STRATEGIES = ['compiler', 'balanced', 'profile', 'optimal', 'pure'];
const chosen = (name) => document.querySelector(`input[name="${name}"]:checked`)?.value;

// The counts that the charts of one experiment have differ; the nearest stands in.
function showCount(section, tpus) {
  const figures = [...section.querySelectorAll('figure[data-tpus]')];
  if (figures.length === 0) return;
  const distance = (figure) => Math.abs(Number(figure.dataset.tpus) - tpus);
  const nearest = figures.reduce((best, figure) => distance(figure) < distance(best) ? figure : best);
  for (const figure of figures) figure.hidden = figure !== nearest;
}

function show() {
  const tpus = Number(chosen('tpus'));
  const strategy = chosen('strategy');
  for (const section of document.querySelectorAll('section')) showCount(section, tpus);
  for (const series of document.querySelectorAll('[data-series]')) {
    const key = series.dataset.series;
    series.classList.toggle('dim', Boolean(strategy) && STRATEGIES.includes(key) && key !== strategy);
  }
}

document.addEventListener('change', show);
show();

// On paper nothing can be opened.
window.addEventListener('beforeprint', () => {
  for (const details of document.querySelectorAll('details')) details.open = true;
});
