// Elements, numbers and scales for the charts. Text enters as text nodes only: names in a model may
// hold anything.
'use strict';

const SVG = 'http://www.w3.org/2000/svg';

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name === 'class') node.setAttribute('class', value);
    else if (name.startsWith('on')) node.addEventListener(name.slice(2), value);
    else if (value !== null && value !== false) node.setAttribute(name, value === true ? '' : value);
  }
  node.append(...children.flat().filter((child) => child !== null));
  return node;
}

const html = (tag, attributes = {}, ...children) =>
  fill(document.createElement(tag), attributes, children);
const svg = (tag, attributes = {}, ...children) =>
  fill(document.createElementNS(SVG, tag), attributes, children);

// --- numbers

const MIB = 1 << 20;

function digits(value, significant = 3) {
  if (value === 0) return '0';
  const before = Math.floor(Math.log10(Math.abs(value))) + 1;
  return value.toFixed(Math.min(6, Math.max(0, significant - before)));
}
function time(ns) {
  if (ns >= 1e9) return `${digits(ns / 1e9)} s`;
  return ns >= 1e5 || ns === 0 ? `${digits(ns / 1e6)} ms` : `${digits(ns / 1e3)} µs`;
}
const mib = (bytes) => `${(bytes / MIB).toFixed(2)} MiB`;
const rate = (perSecond) => `${digits(perSecond)}/s`;
const percent = (share) => `${Math.round(share * 100)} %`;
const plural = (count, word) => `${count} ${word}${count === 1 ? '' : 's'}`;

// Round values from 0 to at least `largest`, about `count` of them.
function ticks(largest, count) {
  const step = largest / Math.max(1, count) || 1;
  const power = 10 ** Math.floor(Math.log10(step));
  const nice = [1, 2, 2.5, 5, 10].find((factor) => factor * power >= step * 0.999) * power;
  const result = [];
  for (let i = 0; (i - 1) * nice < largest * 0.999 || i < 2; ++i) result.push(i * nice);
  return result;
}

const scale = (from, to, low, high) => (value) =>
  low + ((value - from) / (to - from || 1)) * (high - low);

const shortened = (text, length) =>
  text.length <= length ? text : `${text.slice(0, Math.max(1, length - 1))}…`;

// --- parts of charts

function chart(width, height, label, ...children) {
  return svg('svg', {
    class: 'chart', viewBox: `0 0 ${width} ${height}`, role: 'img', 'aria-label': label,
  }, ...children);
}

function text(x, y, value, attributes = {}) {
  return svg('text', { x, y, ...attributes }, String(value));
}

// Vertical axis with rules over the whole width; returns the scale and what to draw.
function valueAxis(largest, box, format, count = 4) {
  const marks = ticks(largest, count);
  const y = scale(0, marks.at(-1), box.bottom, box.top);
  const parts = marks.map((mark) => [
    svg('line', { class: 'rule', x1: box.left, x2: box.right, y1: y(mark), y2: y(mark) }),
    text(box.left - 6, y(mark) + 4, format(mark), { class: 'soft', 'text-anchor': 'end' }),
  ]);
  return { y, parts: parts.flat() };
}

// Horizontal axis below, in the same way.
function lengthAxis(largest, box, format, count) {
  const marks = ticks(largest, count);
  const x = scale(0, marks.at(-1), box.left, box.right);
  const parts = marks.map((mark) => [
    svg('line', { class: 'rule', x1: x(mark), x2: x(mark), y1: box.top, y2: box.bottom }),
    text(x(mark), box.bottom + 16, format(mark), { class: 'soft', 'text-anchor': 'middle' }),
  ]);
  return { x, parts: parts.flat() };
}

// Shapes tell strategies apart where colours do not.
function marker(shape, x, y, size, attributes) {
  const s = size;
  const paths = {
    square: `M${x - s} ${y - s}h${2 * s}v${2 * s}h${-2 * s}z`,
    triangle: `M${x} ${y - 1.2 * s}L${x + 1.15 * s} ${y + 0.9 * s}H${x - 1.15 * s}z`,
    diamond: `M${x} ${y - 1.4 * s}L${x + 1.4 * s} ${y}L${x} ${y + 1.4 * s}L${x - 1.4 * s} ${y}z`,
    circle: `M${x - s} ${y}a${s} ${s} 0 1 0 ${2 * s} 0a${s} ${s} 0 1 0 ${-2 * s} 0z`,
  };
  return svg('path', { d: paths[shape], ...attributes });
}

const swatch = (paint) => svg('svg', { 'aria-hidden': 'true' },
  svg('rect', { width: 26, height: 14, rx: 2, fill: paint }));

const legend = (entries) => html('ul', { class: 'legend' },
  ...entries.map(([sign, label]) => html('li', {}, sign, label)));

// Stripes for what crosses the link, so that it is not told by colour alone.
function patterns() {
  const stripes = svg('pattern', {
    id: 'streaming', width: 6, height: 6, patternUnits: 'userSpaceOnUse', patternTransform: 'rotate(45)',
  }, svg('rect', { width: 6, height: 6, fill: 'var(--streaming)' }),
  svg('rect', { width: 2, height: 6, fill: 'var(--paper)', opacity: 0.55 }));
  return svg('svg', { class: 'defs', 'aria-hidden': 'true' },
    svg('defs', {}, stripes));
}
