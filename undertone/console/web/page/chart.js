// Lines over time, and a heat map, on a canvas. Lines differ by colour and by dashes.

const COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#787848"];
const DASHES = [[], [6, 3], [2, 2], [8, 3, 2, 3]];
const LEFT = 56;
const BOTTOM = 18;
const TOP = 6;

const UNITS = {
  percentunit: (value) => `${trim(100 * value)} %`,
  s: (value) => (Math.abs(value) < 1 && value !== 0 ? `${trim(1000 * value)} ms` : Math.abs(value) >= 7200 ? `${trim(value / 3600)} h` : `${trim(value)} s`),
  bytes: (value) => (value >= 1e9 ? `${trim(value / 1e9)} GB` : value >= 1e6 ? `${trim(value / 1e6)} MB` : `${trim(value / 1e3)} KB`),
  dB: (value) => `${trim(value)} dB`,
  cps: (value) => `${trim(value)} /s`,
  cpm: (value) => `${trim(value)} /min`,
};

function trim(value) {
  if (Math.abs(value) >= 1e6) return `${Number((value / 1e6).toPrecision(3))} M`;
  return Number(value.toPrecision(3)).toLocaleString("en");
}

export const valueWords = (value, unit) => (value === null || value === undefined ? "-" : (UNITS[unit] ?? trim)(value));

export const lineStyle = (number) => [COLOURS[number % COLOURS.length], DASHES[Math.floor(number / COLOURS.length) % DASHES.length]];

export const newestOf = (series) => series.points.findLast(([, value]) => value !== null)?.[1] ?? null;

/** One above the other, for shares of a whole. */
function stacked(series) {
  const under = new Map();
  return series.map((one) => ({
    ...one,
    points: one.points.map(([at, value]) => {
      under.set(at, (under.get(at) ?? 0) + (value ?? 0));
      return [at, under.get(at)];
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

function axes({ context, width, height, text, line }, { from, to }, top, bottom, unit) {
  context.strokeStyle = line;
  context.fillStyle = text;
  context.textBaseline = "middle";
  context.textAlign = "right";
  for (const part of [0, 0.5, 1]) {
    const y = TOP + (1 - part) * (height - TOP - BOTTOM);
    context.beginPath();
    context.moveTo(LEFT, y + 0.5);
    context.lineTo(width, y + 0.5);
    context.stroke();
    context.fillText(valueWords(bottom + part * (top - bottom), unit), LEFT - 6, y);
  }
  const long = to - from > 86_400_000;
  for (const part of [0, 0.5, 1]) {
    const moment = new Date(from + part * (to - from));
    const label = long ? moment.toLocaleDateString("en-CA").slice(5) : moment.toLocaleTimeString("en-GB").slice(0, 5);
    context.textAlign = part === 0 ? "left" : part === 1 ? "right" : "center";
    context.fillText(label, LEFT + part * (width - LEFT), height - BOTTOM / 2);
  }
}

export function drawLines(canvas, data, panel) {
  const on = begin(canvas);
  const series = panel.stacked ? stacked(data.series) : data.series;
  const values = series.flatMap((one) => one.points.map(([, value]) => value)).filter((value) => value !== null);
  const top = Math.max(...values, 0) || 1;
  const bottom = Math.min(...values, 0);
  axes(on, data, top, bottom, panel.unit);
  const x = (at) => LEFT + ((at - data.from) / (data.to - data.from)) * (on.width - LEFT);
  const y = (value) => TOP + (1 - (value - bottom) / (top - bottom)) * (on.height - TOP - BOTTOM);
  series.forEach((one, number) => {
    const [colour, dashes] = lineStyle(number);
    on.context.strokeStyle = colour;
    on.context.lineWidth = 1.6;
    on.context.setLineDash(dashes);
    on.context.beginPath();
    let last = -Infinity;
    for (const [at, value] of one.points) {
      if (value === null) continue;
      // Where nothing was measured there is no line.
      if (at - last > 1.5 * data.step) on.context.moveTo(x(at), y(value));
      else on.context.lineTo(x(at), y(value));
      last = at;
    }
    on.context.stroke();
  });
}

/** How many fell into each bucket: Prometheus counts all below a bound, a cell is what lies between two. */
export function drawHeat(canvas, data, panel) {
  const on = begin(canvas);
  const bounds = [...data.series].sort((a, b) => bound(a) - bound(b));
  on.context.fillStyle = on.text;
  on.context.textBaseline = "middle";
  const height = (on.height - TOP - BOTTOM) / Math.max(1, bounds.length);
  const cells = [];
  bounds.forEach((one, row) => {
    const below = new Map(row ? bounds[row - 1].points : []);
    for (const [at, value] of one.points) cells.push([at, row, Math.max(0, (value ?? 0) - (below.get(at) ?? 0))]);
  });
  const most = Math.max(...cells.map(([, , count]) => count), 1e-12);
  axes(on, data, 0, 0, "none");
  on.context.clearRect(0, 0, LEFT - 2, on.height - BOTTOM);
  const x = (at) => LEFT + ((at - data.from) / (data.to - data.from)) * (on.width - LEFT);
  on.context.fillStyle = COLOURS[0];
  for (const [at, row, count] of cells) {
    if (!count) continue;
    on.context.globalAlpha = 0.12 + (0.88 * count) / most;
    on.context.fillRect(x(at - data.step), on.height - BOTTOM - (row + 1) * height, Math.max(1, x(at) - x(at - data.step) - 0.5), height - 0.5);
  }
  on.context.globalAlpha = 1;
  on.context.fillStyle = on.text;
  on.context.textAlign = "right";
  bounds.forEach((one, row) => {
    if (row % Math.ceil(bounds.length / 6)) return;
    const limit = bound(one);
    on.context.fillText(Number.isFinite(limit) ? valueWords(limit, panel.unit) : "more", LEFT - 6, on.height - BOTTOM - (row + 0.5) * height);
  });
}

const bound = (one) => (one.legend === "+Inf" ? Infinity : Number(one.legend));
