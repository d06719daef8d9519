// The charts: each takes what it shows and a width in pixels, and gives an <svg>.

const CAUSES = [
  { key: 'fixed', title: 'fixed cost', paint: 'var(--fixed)' },
  { key: 'input', title: 'input', paint: 'var(--input)' },
  { key: 'compute', title: 'computing', paint: 'var(--compute)' },
  { key: 'streaming', title: 'streaming parameters', paint: 'url(#streaming)' },
  { key: 'output', title: 'output', paint: 'var(--output)' },
  { key: 'host', title: 'on the host', paint: 'var(--host)' },
];
const stageTime = (stage) =>
  CAUSES.reduce((sum, cause) => sum + stage.time_ns[cause.key], 0);
const causeLegend = () => legend(CAUSES.map((cause) => [swatch(cause.paint), cause.title]));

// Which of the series that share a place or a piece of a line is the first, second, … of how many.
function turns(entries) {
  const groups = new Map();
  for (const [one, key] of entries) groups.set(key, [...(groups.get(key) || []), one]);
  return (one, key) => ({ turn: groups.get(key).indexOf(one), count: groups.get(key).length });
}
const DASH = 6; // of each of several lines in the same place

// One line per strategy over the number of TPUs. Lines in the same place take turns, and markers in
// the same place stand side by side.
function linesChart(series, chosen, read, format, label, width) {
  const height = Math.max(180, Math.min(260, width * 0.6));
  const box = { left: 52, right: width - 14, top: 12, bottom: height - 34 };
  const points = series.flatMap((one) => one.points);
  const { y, parts } = valueAxis(Math.max(...points.map(read)), box, format);
  const counts = [...new Set(points.map((point) => point.tpus))].sort((a, b) => a - b);
  const x = scale(counts[0], counts.at(-1), box.left + 18, box.right - 18);
  const every = Math.ceil(counts.length / ((box.right - box.left) / 24));
  const labels = counts.filter((count, i) => i % every === 0).map((count) =>
    text(x(count), box.bottom + 16, count, { class: 'soft', 'text-anchor': 'middle' }));
  const place = (point) => `${point.tpus} ${Math.round(y(read(point)))}`;
  const piece = (one, i) => `${place(one.points[i - 1])} ${place(one.points[i])}`;
  const atPlace = turns(series.flatMap((one) => one.points.map((point) => [one, place(point)])));
  const onPiece = turns(series.flatMap((one) =>
    one.points.slice(1).map((unused, i) => [one, piece(one, i + 1)])));
  const lines = series.flatMap((one) => one.points.slice(1).map((point, i) => {
    const before = one.points[i];
    const { turn, count } = onPiece(one, piece(one, i + 1));
    return svg('path', {
      d: `M${x(before.tpus)} ${y(read(before))}L${x(point.tpus)} ${y(read(point))}`,
      fill: 'none', stroke: one.paint, 'stroke-width': one.key === chosen.strategy ? 2.5 : 1.5,
      'stroke-dasharray': count > 1 ? `${DASH} ${DASH * (count - 1)}` : one.dash,
      'stroke-dashoffset': -DASH * turn,
    });
  }));
  const marks = series.flatMap((one) => one.points.map((point) => {
    const isChosen = one.key === chosen.strategy && point.tpus === chosen.tpus;
    const { turn, count } = atPlace(one, place(point));
    const at = x(point.tpus) + (turn - (count - 1) / 2) * 6;
    return svg('g', {},
      point.pareto ? svg('circle', {
        cx: at, cy: y(read(point)), r: 8, fill: 'none', stroke: 'var(--ink)',
      }) : null,
      marker(one.shape, at, y(read(point)), isChosen ? 5.5 : 3.5, {
        fill: one.paint, stroke: isChosen ? 'var(--ink)' : 'none', 'stroke-width': 1.5,
      }),
      svg('title', {}, `${one.title}, ${plural(point.tpus, 'TPU')}: ${format(read(point))}`));
  }));
  return chart(width, height, label, ...parts, ...labels, ...lines, ...marks,
    text((box.left + box.right) / 2, height - 2, 'TPUs', { class: 'soft', 'text-anchor': 'middle' }));
}

// In the bar, where it is high enough: above stands what a device holds.
const barLabel = (x, top, bottom, value) => bottom - top >= 40
  ? text(x, bottom - 8, value, { class: 'inside', 'text-anchor': 'middle' })
  : text(x, top - 5, value, { 'text-anchor': 'middle' });

// Parameters on chip and streamed, of each device, with what a device holds.
function memoryChart(stages, capacity, width) {
  const height = 240;
  const box = { left: 52, right: width - 8, top: 22, bottom: height - 34 };
  const bars = stages.flatMap((stage, s) =>
    Array.from({ length: stage.devices }, () => ({ stage: s, ...stage })));
  const largest = Math.max(capacity, ...bars.map((bar) => bar.on_chip_bytes + bar.host_bytes));
  const { y, parts } = valueAxis(largest / MIB, box, digits);
  const step = (box.right - box.left) / bars.length;
  const thick = Math.min(64, step * 0.7);
  const drawn = bars.map((bar, i) => {
    const left = box.left + step * (i + 0.5) - thick / 2;
    const chip = y(bar.on_chip_bytes / MIB);
    const all = y((bar.on_chip_bytes + bar.host_bytes) / MIB);
    return svg('g', {},
      svg('rect', { x: left, y: chip, width: thick, height: box.bottom - chip, fill: 'var(--compute)' }),
      svg('rect', { x: left, y: all, width: thick, height: chip - all, fill: 'url(#streaming)' }),
      thick >= 26 ? barLabel(left + thick / 2, all, box.bottom,
        ((bar.on_chip_bytes + bar.host_bytes) / MIB).toFixed(thick >= 34 ? 2 : 1)) : null,
      step >= 18 ? text(left + thick / 2, box.bottom + 16, bar.stage,
        { class: 'soft', 'text-anchor': 'middle' }) : null,
      svg('title', {}, `stage ${bar.stage}: ${mib(bar.on_chip_bytes)} on chip, ${mib(bar.host_bytes)} streamed`));
  });
  const limit = y(capacity / MIB);
  return chart(width, height, 'Parameters on each TPU, in MiB', ...parts, ...drawn,
    svg('line', { class: 'limit', x1: box.left, x2: box.right, y1: limit, y2: limit }),
    text(box.right, limit - 5, `a TPU holds ${mib(capacity)}`, { 'text-anchor': 'end' }),
    text((box.left + box.right) / 2, height - 2, 'stage of each TPU',
      { class: 'soft', 'text-anchor': 'middle' }));
}

// What the time of each stage goes into; a mark where a run measured it.
function timesChart(stages, measured, width) {
  const row = 30;
  const height = stages.length * row + 46;
  const box = { left: 66, right: width - 60, top: 6, bottom: height - 38 };
  const largest = Math.max(...stages.map(stageTime), ...(measured || []));
  const { x, parts } = lengthAxis(largest / 1e6, box, digits, Math.max(2, Math.floor(width / 110)));
  const rows = stages.map((stage, s) => {
    const top = box.top + s * row + 5;
    let begin = 0;
    const bars = CAUSES.map((cause) => {
      const from = x(begin / 1e6);
      begin += stage.time_ns[cause.key];
      return svg('rect', {
        x: from, y: top, width: Math.max(0, x(begin / 1e6) - from), height: row - 10, fill: cause.paint,
      }, svg('title', {}, `stage ${s}, ${cause.title}: ${time(stage.time_ns[cause.key])}`));
    });
    const name = `${s}${stage.devices > 1 ? ` ×${stage.devices}` : ''}`;
    return [
      text(box.left - 8, top + 14, `stage ${name}`, { class: 'soft', 'text-anchor': 'end' }),
      ...bars,
      text(x(Math.max(begin, measured ? measured[s] : 0) / 1e6) + 6, top + 14, time(begin)),
      measured ? svg('path', {
        d: `M${x(measured[s] / 1e6)} ${top - 4}v${row - 2}`, stroke: 'var(--ink)', 'stroke-width': 3,
      }, svg('title', {}, `stage ${s}, measured: ${time(measured[s])}`)) : null,
    ];
  });
  return chart(width, height, 'Time of each stage by cause, in ms', ...parts, ...rows.flat(),
    text((box.left + box.right) / 2, height - 4, 'ms for one input on one TPU',
      { class: 'soft', 'text-anchor': 'middle' }));
}

// What each device does when. Events are rows of [device, input, cause, begin, end] in µs.
function timelineChart(plan, width) {
  const { events, devices } = plan.timeline;
  const row = Math.min(34, Math.max(16, 300 / devices.length));
  const height = devices.length * row + 44;
  const box = { left: 66, right: width - 8, top: 4, bottom: height - 36 };
  const end = events.reduce((latest, event) => Math.max(latest, event[4]), 0);
  const { x, parts } = lengthAxis(end / 1e3, box, digits, Math.max(2, Math.floor(width / 90)));
  const names = devices.map((device, i) =>
    text(box.left - 8, box.top + row * (i + 0.5) + 4, device, { class: 'soft', 'text-anchor': 'end' }));
  const inputs = new Map();
  for (const [device, input, cause, begin, until] of events) {
    if (!inputs.has(input)) inputs.set(input, { parts: [], spans: new Map() });
    const { parts: rects, spans } = inputs.get(input);
    const top = box.top + row * device + 2;
    rects.push(svg('rect', {
      x: x(begin / 1e3), y: top, width: Math.max(0.4, x(until / 1e3) - x(begin / 1e3)),
      height: row - 4, fill: CAUSES[cause].paint,
    }));
    const span = spans.get(device) || { from: begin, to: until };
    spans.set(device, { from: Math.min(span.from, begin), to: Math.max(span.to, until) });
  }
  const groups = [...inputs].map(([input, { parts: rects, spans }]) => svg('g', { 'data-input': input },
    ...rects,
    ...[...spans].map(([device, { from, to }]) => {
      const middle = (x(from / 1e3) + x(to / 1e3)) / 2;
      return x(to / 1e3) - x(from / 1e3) < 8 * String(input).length + 6 || row < 16 ? null
        : text(middle, box.top + row * (device + 0.5) + 4, input,
          { class: 'inside', 'text-anchor': 'middle' });
    }),
    svg('title', {}, `input ${input}`)));
  const drawing = chart(width, height, 'Activity of each TPU over time', ...parts, ...names, ...groups,
    text((box.left + box.right) / 2, height - 4, 'ms', { class: 'soft', 'text-anchor': 'middle' }));
  const highlight = (chosen) => groups.forEach((group) =>
    group.classList.toggle('dim', chosen !== null && group !== chosen));
  drawing.addEventListener('pointerover', (event) => highlight(event.target.closest('g[data-input]')));
  drawing.addEventListener('pointerleave', () => highlight(null));
  return drawing;
}

// Parameters and work at each depth of the model, and where the plan cuts.
function profileChart(levels, plan, width) {
  const height = 240;
  const rows = 2; // of labels, so that those of close cuts do not overlap
  const box = { left: 52, right: width - 52, top: 8 + 14 * rows, bottom: height - 34 };
  const depth = levels.bytes.length;
  const x = scale(0, depth, box.left, box.right);
  const { y, parts } = valueAxis(Math.max(...levels.bytes) / MIB, box, digits);
  const work = scale(0, Math.max(...levels.macs, 1), box.bottom, box.top);
  const bars = levels.bytes.map((bytes, i) => bytes === 0 ? '' :
    `M${x(i + 0.1).toFixed(1)} ${box.bottom}V${y(bytes / MIB).toFixed(1)}H${x(i + 0.9).toFixed(1)}V${box.bottom}z`);
  const steps = levels.macs.map((macs, i) =>
    `${i ? 'L' : 'M'}${x(i + 0.5).toFixed(1)} ${work(macs).toFixed(1)}`);
  // A cut that is not horizontal lies between two depths.
  const ends = Array(rows).fill(-Infinity);
  const labelOf = (at, label) => {
    const half = 3.8 * label.length + 2;
    const row = ends.findIndex((end) => end <= at - half);
    if (row < 0) return null;
    ends[row] = at + half;
    return text(at, box.top - 9 - 13 * row, label, { class: 'of-cut', 'text-anchor': 'middle' });
  };
  const cuts = plan.cuts.map(([from, to], i) => [
    svg('rect', {
      class: 'cut', x: x(from) - 0.75, width: x(to) - x(from) + 1.5, y: box.top - 6,
      height: box.bottom - box.top + 6,
    }, svg('title', {}, `between stage ${i} and ${i + 1}, after depth ${from === to ? to : `${from} to ${to}`}`)),
    labelOf(x((from + to) / 2), `${i}|${i + 1}`),
  ]);
  const marks = ticks(depth, Math.max(2, Math.floor(width / 120))).filter((mark) => mark <= depth)
    .map((mark) => text(x(mark), box.bottom + 16, mark, { class: 'soft', 'text-anchor': 'middle' }));
  return chart(width, height, 'Parameters and work at each depth, with the cuts', ...parts,
    svg('path', { d: steps.join(''), fill: 'none', stroke: 'var(--output)', 'stroke-width': 0.75, opacity: 0.7 }),
    svg('path', { d: bars.join(''), fill: 'var(--compute)' }), ...cuts.flat(), ...marks,
    text(box.right + 6, box.top + 4, `${digits(Math.max(...levels.macs) / 1e6)}M`, { class: 'soft' }),
    text(box.right + 6, box.bottom + 4, '0', { class: 'soft' }),
    text((box.left + box.right) / 2, height - 2, 'depth', { class: 'soft', 'text-anchor': 'middle' }));
}
