// Lines over time, and a heat map, on a canvas. Lines differ by colour and by dashes.

import { colourOf } from "./palette.js";

const COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#787848"];
const DASHES = [[], [6, 3], [2, 2], [8, 3, 2, 3]];
const GAP = 6;
const BOTTOM = 18;
const TOP = 6;

const UNITS = {
  percentunit: (value) => `${trim(100 * value)} %`,
  s: secondsWords,
  bytes: (value) => (value >= 1e9 ? `${trim(value / 1e9)} GB` : value >= 1e6 ? `${trim(value / 1e6)} MB` : `${trim(value / 1e3)} KB`),
  dB: (value) => `${trim(value)} dB`,
  cps: (value) => `${trim(value)} /s`,
  cpm: (value) => `${trim(value)} /min`,
};

function secondsWords(value) {
  const size = Math.abs(value);
  if (size >= 2 * 86_400) return `${trim(value / 86_400)} d`;
  if (size >= 3600) return `${trim(value / 3600)} h`;
  if (size >= 1 || !size) return `${trim(value)} s`;
  return size >= 0.001 ? `${trim(1000 * value)} ms` : `${trim(1e6 * value)} \u00B5s`;
}

function trim(value) {
  if (Math.abs(value) >= 1e6) return `${Number((value / 1e6).toPrecision(3))} M`;
  return Number(value.toPrecision(3)).toLocaleString("en");
}

export const valueWords = (value, unit) => (value === null || value === undefined ? "-" : (UNITS[unit] ?? trim)(value));

/** Colour and dashes of a line: an emotion has the colour that it has on every page. */
export function lineStyle(number, legend) {
  const own = colourOf(legend);
  if (own) return [own, ["satisfied", "uncertain"].includes(legend) ? DASHES[1] : []];
  return [COLOURS[number % COLOURS.length], DASHES[Math.floor(number / COLOURS.length) % DASHES.length]];
}

export const newestOf = (series) => series.points.findLast(([, value]) => value !== null)?.[1] ?? null;

/** One above the other, for shares of a whole: each point is moment, upper and lower end. */
function stacked(series) {
  const under = new Map();
  return series.map((one) => ({
    ...one,
    points: one.points.map(([at, value]) => {
      const lower = under.get(at) ?? 0;
      under.set(at, lower + (value ?? 0));
      return [at, under.get(at), lower];
    }),
  }));
}

function begin(canvas) {
  const scale = devicePixelRatio;
  const [width, height] = [canvas.clientWidth, canvas.clientHeight];
  canvas.width = width * scale;
  canvas.height = height * scale;
  const context = canvas.getContext("2d");
  context.scale(scale, scale);
  const style = getComputedStyle(canvas);
  context.font = `11px ${style.fontFamily}`;
  return { context, width, height, text: style.color, line: style.getPropertyValue("--line") };
}

/** The next number above that people count by: 1, 2, 2.5 or 5 with noughts. */
export function above(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  const found = [1, 2, 2.5, 5, 10].find((step) => step * power >= value * (1 - 1e-9));
  return found * power;
}

/** The lowest and the highest value of an axis: both, and their middle, are numbers that people count by. */
export function ends(values) {
  const top = Math.max(...values, 0);
  const bottom = Math.min(...values, 0);
  const most = Math.max(top, -bottom);
  if (!most) return [0, 1];
  const high = above(most);
  return [bottom < 0 ? -high : 0, top > 0 ? high : 0];
}

/** Lines with what they stand for at the left, and times below; returns where the picture begins. */
function axes({ context, width, height, text, line }, { from, to }, marks) {
  context.strokeStyle = line;
  context.fillStyle = text;
  context.textBaseline = "middle";
  const left = GAP + Math.ceil(Math.max(...marks.map(([words]) => context.measureText(words).width)));
  for (const [words, part, lined] of marks) {
    const y = TOP + (1 - part) * (height - TOP - BOTTOM);
    context.textAlign = "right";
    context.fillText(words, left - GAP, y);
    if (!lined) continue;
    context.beginPath();
    context.moveTo(left, y + 0.5);
    context.lineTo(width, y + 0.5);
    context.stroke();
  }
  const long = to - from > 86_400_000;
  for (const part of [0, 0.5, 1]) {
    const moment = new Date(from + part * (to - from));
    const label = long ? moment.toLocaleDateString("en-CA").slice(5) : moment.toLocaleTimeString("en-GB").slice(0, 5);
    context.textAlign = part === 0 ? "left" : part === 1 ? "right" : "center";
    context.fillText(label, left + part * (width - left), height - BOTTOM / 2);
  }
  return left;
}

export function drawLines(canvas, data, panel) {
  const on = begin(canvas);
  const series = panel.stacked ? stacked(data.series) : data.series;
  const values = series.flatMap((one) => one.points.map(([, value]) => value)).filter((value) => value !== null);
  const [bottom, top] = ends(values);
  const marks = [0, 0.5, 1].map((part) => [valueWords(bottom + part * (top - bottom), panel.unit), part, true]);
  const left = axes(on, data, marks);
  const x = (at) => left + ((at - data.from) / (data.to - data.from)) * (on.width - left);
  const y = (value) => TOP + (1 - (value - bottom) / (top - bottom)) * (on.height - TOP - BOTTOM);
  series.forEach((one, number) => {
    const [colour, dashes] = lineStyle(number, one.legend);
    on.context.strokeStyle = colour;
    on.context.lineWidth = 1.6;
    on.context.lineCap = "round";
    on.context.setLineDash(dashes);
    for (const run of runs(one.points, data.step)) {
      trace(on.context, run.map(([at, value]) => [x(at), y(value)]));
      on.context.stroke();
      if (!panel.stacked) continue;
      trace(on.context, [...run.map(([at, value]) => [x(at), y(value)]), ...run.toReversed().map(([at, , lower]) => [x(at), y(lower)])]);
      on.context.globalAlpha = 0.35;
      on.context.fillStyle = colour;
      on.context.fill();
      on.context.globalAlpha = 1;
    }
  });
}

/** Points that follow each other: where nothing was measured there is no line. */
function runs(points, step) {
  const found = [];
  for (const point of points.filter(([, value]) => value !== null)) {
    const run = found.at(-1);
    if (run && point[0] - run.at(-1)[0] <= 1.5 * step) run.push(point);
    else found.push([point]);
  }
  return found;
}

/** A path; of a single point a dot. */
function trace(context, places) {
  context.beginPath();
  context.moveTo(...places[0]);
  for (const place of places) context.lineTo(...place);
}

/** How many fell into each bucket: Prometheus counts all below a bound, a cell is what lies between two. */
export function drawHeat(canvas, data, panel) {
  const on = begin(canvas);
  const bounds = [...data.series].sort((a, b) => bound(a) - bound(b));
  const height = (on.height - TOP - BOTTOM) / Math.max(1, bounds.length);
  const words = (one) => (Number.isFinite(bound(one)) ? valueWords(bound(one), panel.unit) : "more");
  const shown = bounds.map((one, row) => [words(one), (row + 0.5) / bounds.length]).filter((_, row) => row % Math.ceil(bounds.length / 6) === 0);
  const left = axes(on, data, [["", 0, true], ...shown, ["", 1, true]]);
  const cells = [];
  bounds.forEach((one, row) => {
    const below = new Map(row ? bounds[row - 1].points : []);
    for (const [at, value] of one.points) cells.push([at, row, Math.max(0, (value ?? 0) - (below.get(at) ?? 0))]);
  });
  const most = Math.max(...cells.map(([, , count]) => count), 1e-12);
  const x = (at) => left + ((at - data.from) / (data.to - data.from)) * (on.width - left);
  on.context.fillStyle = COLOURS[0];
  for (const [at, row, count] of cells) {
    if (!count) continue;
    on.context.globalAlpha = 0.12 + (0.88 * count) / most;
    on.context.fillRect(x(at - data.step), on.height - BOTTOM - (row + 1) * height, Math.max(1, x(at) - x(at - data.step) - 0.5), height - 0.5);
  }
  on.context.globalAlpha = 1;
}

const bound = (one) => (one.legend === "+Inf" ? Infinity : Number(one.legend));
