// A colour, a pattern and a side for each emotion. Most colours are those of Okabe and Ito, which colour-blind people
// tell apart; disgust's is the one that is furthest from the others of its side for all of them. Who sees no colour has
// the side (displeasure hangs below the middle, pleasure stands above) and the pattern.

const KNOWN = {
  angry: ["#d55e00", "solid", -1],
  frustrated: ["#e69f00", "bars", -1],
  disgust: ["#787848", "cross", -1],
  fearful: ["#cc79a7", "dots", -1],
  sad: ["#0072b2", "stripes", -1],
  neutral: ["#8a929b", "solid", 0],
  calm: ["#56b4e9", "stripes", 0],
  surprised: ["#b08fd8", "dots", 1],
  happy: ["#009e73", "solid", 1],
  satisfied: ["#009e73", "stripes", 1],
};
const OTHERS = ["#56b4e9", "#e69f00", "#009e73", "#0072b2", "#d55e00", "#cc79a7"];
const SIDES = { negative: -1, neutral: 0, positive: 1 };
const given = new Map();

function looks(label) {
  if (KNOWN[label]) return KNOWN[label];
  if (!given.has(label)) given.set(label, [OTHERS[given.size % OTHERS.length], "cross", 0]);
  return given.get(label);
}

/** The colour of an emotion that is known by name, and of `uncertain`; undefined for any other word. */
export const colourOf = (label) => (label === "uncertain" ? KNOWN.neutral : KNOWN[label])?.[0];

/** -1 for displeasure, 1 for pleasure, 0 for neither: by the model's group where it has any. */
export function sideOf(span) {
  return SIDES[span.group] ?? looks(span.label)[2];
}

export const sideOfLabel = (label) => looks(label)[2];

const patterns = new Map();

/** What to fill a bar of this label with. */
export function fillOf(context, label, scale) {
  const [colour, pattern] = looks(label);
  if (pattern === "solid") return colour;
  const key = `${label} ${scale}`;
  if (!patterns.has(key)) patterns.set(key, tile(colour, pattern, scale));
  return context.createPattern(patterns.get(key), "repeat");
}

function tile(colour, pattern, scale) {
  const size = Math.round(6 * scale);
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = size;
  const context = canvas.getContext("2d");
  context.fillStyle = colour;
  context.fillRect(0, 0, size, size);
  context.strokeStyle = context.fillStyle = "rgba(255, 255, 255, 0.75)";
  context.lineWidth = 1.3 * scale;
  context.beginPath();
  if (pattern === "dots") {
    context.arc(size / 2, size / 2, size / 4, 0, 7);
    context.fill();
    return canvas;
  }
  if (pattern === "bars") {
    context.fillRect(0, 0, size / 3, size);
    return canvas;
  }
  for (const shift of [-size, 0, size]) {
    context.moveTo(shift - 1, size + 1);
    context.lineTo(shift + size + 1, -1);
    if (pattern === "cross") {
      context.moveTo(shift - 1, -1);
      context.lineTo(shift + size + 1, size + 1);
    }
  }
  context.stroke();
  return canvas;
}

/** The legend's entries: every label that has been seen. */
export function fillLegend(list, labels, draw) {
  const names = [...labels].sort((a, b) => sideOfLabel(b) - sideOfLabel(a) || (a < b ? -1 : 1));
  const texts = { 1: "above the middle", 0: "at the middle", "-1": "below the middle" };
  list.replaceChildren(
    ...[...names, "uncertain"].map((label) => {
      const item = document.createElement("li");
      const canvas = document.createElement("canvas");
      item.append(canvas, label);
      if (label !== "uncertain") item.title = texts[sideOfLabel(label)];
      requestAnimationFrame(() => draw(canvas, label));
      return item;
    }),
  );
}
