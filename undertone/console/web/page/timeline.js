// Draws lanes of spans on a canvas: one lane for each channel, the newest at the right.

import { fillOf, sideOf, sideOfLabel } from "./palette.js";

const dark = matchMedia("(prefers-color-scheme: dark)");
let tints = null;

function tintsNow() {
  // Not at the media query's event: that comes after the frame in which the colours are others.
  if (tints?.theme !== theme()) {
    const style = getComputedStyle(document.documentElement);
    const of = (name) => style.getPropertyValue(name).trim();
    tints = { theme: theme(), lane: of("--lane"), middle: of("--middle"), text: of("--text"), quiet: of("--quiet") };
  }
  return tints;
}

/** Whether colours are others than they were. */
export const theme = () => (dark.matches ? 1 : 0);

/** Fit a canvas to its box on the screen; returns the pixels per CSS pixel. */
export function fit(canvas) {
  const scale = devicePixelRatio || 1;
  const width = Math.round(canvas.clientWidth * scale);
  const height = Math.round(canvas.clientHeight * scale);
  if (canvas.width !== width || canvas.height !== height) {
    canvas.width = width;
    canvas.height = height;
  }
  return scale;
}

/** Draw streams between two moments, ms. */
export function drawLanes(canvas, streams, from, to, scale) {
  const context = canvas.getContext("2d");
  const { width, height } = canvas;
  context.clearRect(0, 0, width, height);
  const lane = height / Math.max(streams.length, 1);
  const perMs = width / Math.max(to - from, 1);
  streams.forEach((stream, index) => drawLane(context, stream, index * lane + scale, lane - 2 * scale));

  function drawLane(context, stream, top, high) {
    const colours = tintsNow();
    const middle = Math.round(top + high / 2);
    context.fillStyle = colours.lane;
    context.fillRect(0, top, width, high);
    context.fillStyle = colours.middle;
    context.fillRect(0, middle, width, scale);
    for (const span of stream.all()) {
      if (span.to < from || span.from > to) continue;
      const left = Math.max(-4, (span.from - from) * perMs);
      const right = Math.max(left + 2 * scale, (span.to - from) * perMs);
      const [above, below] = extent(sideOf(span), span.top[0]?.[1] ?? 0, span.label, high / 2);
      bar(context, span.label, left, middle - above, right - left, above + below, scale, colours);
      if (span === stream.open) {
        context.fillStyle = colours.text;
        context.fillRect(right, top + 2 * scale, 2 * scale, high - 4 * scale);
      }
    }
  }
}

/** How far a bar reaches above and below the middle: by its side, and by its probability. */
function extent(side, probability, label, half) {
  if (label === "uncertain") return [half * 0.3, half * 0.3];
  const size = half * (0.35 + 0.65 * Math.min(1, probability));
  if (side === 0) return [size * 0.45, size * 0.45];
  return side > 0 ? [size, 0] : [0, size];
}

function bar(context, label, left, top, width, height, scale, colours) {
  if (label === "uncertain") {
    // Hollow: the model does not say.
    context.strokeStyle = colours.quiet;
    context.lineWidth = 1.2 * scale;
    context.setLineDash([3 * scale, 2 * scale]);
    context.strokeRect(left, top, width, height);
    context.setLineDash([]);
    return;
  }
  context.fillStyle = fillOf(context, label, scale);
  context.fillRect(left, top, width, height);
  // Its edge is seen where its colour is nearly as light, or as dark, as what lies behind it.
  context.strokeStyle = colours.quiet;
  context.lineWidth = scale;
  context.strokeRect(left + scale / 2, top + scale / 2, Math.max(0, width - scale), Math.max(0, height - scale));
}

/** A sample for the legend. */
export function drawSample(canvas, label) {
  const scale = fit(canvas);
  const context = canvas.getContext("2d");
  const colours = tintsNow();
  const half = canvas.height / 2;
  context.clearRect(0, 0, canvas.width, canvas.height);
  context.fillStyle = colours.middle;
  context.fillRect(0, half, canvas.width, scale);
  const [above, below] = extent(sideOfLabel(label), 0.9, label, half);
  bar(context, label, scale, half - above, canvas.width - 2 * scale, above + below, scale, colours);
}
