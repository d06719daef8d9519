// The page: a control for TPUs and strategy, and all that depends on it.

const data = JSON.parse(document.getElementById('data').textContent);
const LOOKS = {
  compiler: { paint: 'var(--compiler)', dash: '2 3', shape: 'square' },
  balanced: { paint: 'var(--balanced)', dash: '6 3', shape: 'triangle' },
  profile: { paint: 'var(--profile)', dash: '10 3 2 3', shape: 'diamond' },
  optimal: { paint: 'var(--optimal)', dash: null, shape: 'circle' },
};
const OTHER = { paint: 'var(--ink)', dash: null, shape: 'circle' };

const series = [...new Set(data.plans.map((plan) => plan.strategy))].map((strategy) => ({
  key: strategy,
  title: strategy,
  points: data.plans.filter((plan) => plan.strategy === strategy),
  ...(LOOKS[strategy] || OTHER),
}));
const chosen = { ...data.chosen };
const planOf = (tpus, strategy) =>
  data.plans.find((plan) => plan.tpus === tpus && plan.strategy === strategy);

const kind = (word) => html('span', { class: `kind ${word}` }, word);

function card(title, word, ...children) {
  return html('section', { class: 'card' },
    html('header', {}, html('h2', {}, title), kind(word)), ...children);
}

// Drawn again when the width of the page changes.
const drawings = [];
function drawn(draw) {
  const place = html('div');
  drawings.push({ place, draw });
  return place;
}
function drawAll() {
  for (const { place, draw } of drawings) {
    const width = Math.floor(place.clientWidth);
    if (width > 0) place.replaceChildren(draw(width));
  }
}

function choices(name, title, values, read, write) {
  const inputs = values.map(({ value, label }) => {
    const input = html('input', {
      type: 'radio', name, value, 'aria-label': String(label), checked: value === read(),
      onchange: () => { write(value); show(); },
    });
    return { value, input, node: html('label', { class: 'choice' }, input, html('span', {}, label)) };
  });
  return { inputs, node: html('fieldset', {}, html('legend', {}, title), ...inputs.map((i) => i.node)) };
}

function controls() {
  const counts = [...new Set(data.plans.map((plan) => plan.tpus))];
  const tpus = choices('tpus', 'TPUs', counts.map((value) => ({ value, label: value })),
    () => chosen.tpus, (value) => { chosen.tpus = value; });
  const strategies = choices('strategy', 'Strategy',
    series.map((one) => ({ value: one.key, label: one.title })),
    () => chosen.strategy, (value) => { chosen.strategy = value; });
  // A strategy may have no plan for a number of TPUs, where the model has not that many cuts.
  const refresh = () => {
    for (const { value, input } of strategies.inputs)
      input.disabled = !planOf(chosen.tpus, value);
    if (planOf(chosen.tpus, chosen.strategy)) return;
    chosen.strategy = series.find((one) => planOf(chosen.tpus, one.key)).key;
    for (const { value, input } of strategies.inputs) input.checked = value === chosen.strategy;
  };
  return { node: html('div', { class: 'card controls' }, tpus.node, strategies.node), refresh };
}

// What about nine measurements in ten lie within; null in plans of files that have no ranges.
const between = (range, format) => (range ? `${format(range[0])} to ${format(range[1])}` : null);

function tiles(plan) {
  const host = plan.stages.reduce((sum, stage) => sum + stage.host_bytes * stage.devices, 0);
  const entries = [
    [rate(plan.throughput_per_s), 'throughput', between(plan.throughput_range_per_s, rate)],
    [time(plan.latency_ns), 'latency of one input', between(plan.latency_range_ns, time)],
    [`${digits(plan.speedup)}×`, 'speed-up over one TPU'],
    [percent(plan.efficiency), 'speed-up per TPU used'],
    [mib(host), 'streamed per inference'],
  ];
  return entries.map(([value, label, range]) =>
    html('div', { class: 'tile' }, html('b', {}, value), html('span', {}, range ? `${label}, ${range}` : label)));
}

function stageTable(plan) {
  const head = ['stage', 'TPUs', 'operators', 'on chip', 'streamed', 'time', 'per input', 'first operator'];
  const rows = plan.stages.map((stage, s) => {
    const all = stageTime(stage);
    return [s, stage.devices, stage.operators, mib(stage.on_chip_bytes), mib(stage.host_bytes), time(all),
      time(all / stage.devices), shortened(stage.first, 80)];
  });
  return html('div', { class: 'scroll', tabindex: 0, role: 'region', 'aria-label': 'Stages' },
    html('table', {},
      html('thead', {}, html('tr', {}, ...head.map((title, i) =>
        html('th', { scope: 'col', class: i === head.length - 1 ? 'text' : '' }, title)))),
      html('tbody', {}, ...rows.map((row) => html('tr', {},
        ...row.map((cell, i) => html('td', i === row.length - 1 ? { class: 'text' } : {}, String(cell))))))));
}

const strategyLegend = () => legend([
  ...series.map((one) => [svg('svg', { 'aria-hidden': 'true' },
    svg('path', { d: 'M0 7H26', stroke: one.paint, 'stroke-width': 1.5, 'stroke-dasharray': one.dash }),
    marker(one.shape, 13, 7, 4, { fill: one.paint })), one.title]),
  [svg('svg', { 'aria-hidden': 'true' },
    svg('circle', { cx: 13, cy: 7, r: 6, fill: 'none', stroke: 'var(--ink)' })),
  'Pareto-optimal in throughput, latency and number of TPUs'],
]);

function comparison() {
  if (new Set(data.plans.map((plan) => plan.tpus)).size < 2) return null;
  const panels = [
    ['Throughput, results per second', (plan) => plan.throughput_per_s, digits],
    ['Latency of one input, ms', (plan) => plan.latency_ns / 1e6, digits],
    ['Efficiency: speed-up per TPU used', (plan) => plan.efficiency, (value) => percent(value)],
  ];
  return card('Strategies by number of TPUs', 'simulated',
    html('div', { class: 'grid' }, ...panels.map(([title, read, format]) =>
      html('div', {}, html('p', { class: 'soft' }, title),
        drawn((width) => linesChart(series, chosen, read, format, title, width))))),
    strategyLegend());
}

function runCard() {
  const { run } = data;
  const plan = current();
  const rows = [
    ['throughput', rate(run.throughput_per_s), rate(plan.throughput_per_s)],
    ['latency, median', time(run.p50_ns), time(plan.latency_ns)],
    ['latency, 99th percentile', time(run.p99_ns), '–'],
  ];
  return card(`A run on ${run.backend}`, 'measured',
    html('p', {}, `${plural(run.results, 'result')} in ${time(run.elapsed_ns)}.`),
    html('div', { class: 'scroll', tabindex: 0, role: 'region', 'aria-label': 'Measured and simulated' },
      html('table', {},
        html('thead', {}, html('tr', {}, ...['', 'measured', 'simulated'].map((t) => html('th', { scope: 'col' }, t)))),
        html('tbody', {}, ...rows.map((row) => html('tr', {}, ...row.map((cell) => html('td', {}, cell))))))));
}

const current = () => planOf(chosen.tpus, chosen.strategy);
const measuredStages = () => {
  const { run } = data;
  return run && run.tpus === chosen.tpus && run.strategy === chosen.strategy ? run.stages_ns : null;
};

const parts = {
  verdict: html('p', { class: 'verdict', 'aria-live': 'polite' }),
  tiles: html('div', { class: 'tiles' }),
  table: html('div'),
  bar: controls(),
};

function show() {
  parts.bar.refresh();
  const plan = current();
  parts.verdict.textContent = plan.verdict;
  parts.tiles.replaceChildren(...tiles(plan));
  parts.table.replaceChildren(stageTable(plan));
  drawAll();
}

function build() {
  const { model, device } = data;
  document.title = `${shortened(model.name, 60)} – Segue`;
  document.getElementById('report').replaceChildren(...[
    patterns(),
    html('h1', {}, shortened(model.name, 200)),
    html('p', { class: 'soft' }, `${plural(model.operators, 'operator')}, ${mib(model.parameter_bytes)} of parameters, ` +
      `${digits(model.macs / 1e9)} GMAC; ${device.name}. All numbers are simulated unless marked as measured.`),
    parts.verdict,
    data.plans.length > 1 ? parts.bar.node : null,
    parts.tiles,
    comparison(),
    card('Activity of each TPU over time', 'simulated',
      html('p', {}, `${plural(data.inputs, 'input')}, all queued at the start. Point at an input to highlight it.`),
      drawn((width) => timelineChart(current(), width)), causeLegend()),
    html('div', { class: 'grid' },
      card('Parameters on each TPU, MiB', 'simulated',
        drawn((width) => memoryChart(current().stages, device.capacity_bytes, width)),
        legend([[swatch('var(--compute)'), 'on chip'], [swatch('url(#streaming)'), 'streamed at each inference']])),
      card('Time of each stage by cause', 'simulated',
        drawn((width) => timesChart(current().stages, measuredStages(), width)), causeLegend(),
        data.run ? html('p', {}, 'Thick lines: measured.') : null)),
    data.run ? runCard() : null,
    card('Depth of the model, and the cuts', 'simulated',
      drawn((width) => profileChart(model.levels, current(), width)),
      legend([[swatch('var(--compute)'), 'MiB of parameters (left)'],
        [svg('svg', { 'aria-hidden': 'true' }, svg('path', { d: 'M0 7H26', stroke: 'var(--output)' })),
          'multiplications (right)'],
        [svg('svg', { 'aria-hidden': 'true' }, svg('rect', { class: 'cut', x: 12, width: 2, height: 14 })), 'cut; its width shows the depths that it crosses']])),
    card('Stages', 'simulated', parts.table),
    html('footer', {}, data.origin),
  ].filter((part) => part !== null));
  show();
  let width = window.innerWidth;
  window.addEventListener('resize', () => {
    if (window.innerWidth !== width) drawAll();
    width = window.innerWidth;
  });
}

build();
