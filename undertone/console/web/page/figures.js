// The page of figures: panels of a dashboard, asked for when they come into sight, and again from time to time.

import { drawHeat, drawLines, lineStyle, newestOf, valueWords } from "./chart.js";
import { fillNav } from "./nav.js";
import { whoLooks } from "./said.js";
import { fillTable } from "./table.js";

const AGAIN_MS = 30_000;
const $ = (id) => document.getElementById(id);
const shown = new Map();
let boards = [];

const given = new URLSearchParams(location.search);
if ([...$("minutes").options].some((option) => option.value === given.get("minutes"))) $("minutes").value = given.get("minutes");

const sight = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) {
    const one = shown.get(target);
    if (!one) continue;
    one.seen = isIntersecting;
    if (isIntersecting && !one.data) ask(one);
  }
});

function make(board, panel) {
  const box = document.createElement("article");
  box.className = panel.kind;
  // Below the heading of a row, or in its place.
  const heading = panel.row ? "h3" : "h2";
  box.innerHTML = `<${heading}></${heading}>` + '<p class="value"></p><canvas role="img"></canvas><ul class="lines"></ul><div class="scroll" tabindex="0" role="region"><table role="table"><thead role="rowgroup"><tr role="row"></tr></thead><tbody role="rowgroup"></tbody></table></div><p class="quiet"></p>';
  const [title, value, canvas, lines, region, text] = box.children;
  title.textContent = panel.title;
  text.textContent = panel.text;
  region.ariaLabel = panel.title;
  canvas.setAttribute("aria-label", `${panel.title}, over time; the newest values stand below`);
  value.hidden = panel.kind !== "stat";
  canvas.hidden = lines.hidden = panel.kind === "table";
  if (panel.kind !== "timeseries") lines.hidden = true;
  region.hidden = panel.kind !== "table";
  const one = { board, panel, value, canvas, lines, heads: region.querySelector("thead tr"), body: region.querySelector("tbody"), seen: false, data: null, asking: false };
  shown.set(box, one);
  sight.observe(box);
  return box;
}

function draw(one) {
  const { panel, data, canvas } = one;
  if (panel.kind === "table") {
    const names = [...new Set(data.rows.flatMap((row) => Object.keys(row)))];
    fillHeads(one.heads, names);
    fillTable(one.body, data.rows.map((row) => names.map((name) => row[name] ?? "")), names);
    if (!data.rows.length) fillTable(one.body, [["none"]]);
    return;
  }
  if (panel.kind === "stat") fillValue(one.value, panel, data.series.length ? newestOf(data.series[0]) : null);
  (panel.kind === "heatmap" ? drawHeat : drawLines)(canvas, data, panel);
  if (one.lines.hidden) return;
  one.lines.replaceChildren(
    ...data.series.map((series, number) => {
      const [colour, dashes] = lineStyle(number, series.legend);
      const item = document.createElement("li");
      const mark = document.createElement("span");
      mark.className = `mark${dashes.length ? " dashed" : ""}`;
      mark.style.borderTopColor = colour;
      item.append(mark, `${series.legend || panel.title}: ${valueWords(newestOf(series), panel.unit)}`);
      return item;
    }),
  );
  if (!data.series.length) one.lines.append(Object.assign(document.createElement("li"), { textContent: "nothing was measured" }));
}

function fillHeads(line, names) {
  line.replaceChildren(
    ...names.map((name) => {
      const head = document.createElement("th");
      head.setAttribute("role", "columnheader");
      head.scope = "col";
      head.textContent = name;
      return head;
    }),
  );
}

const LEVELS = { good: "", watch: "\u25B2 worth a look", bad: "\u25B2 bad" };

/** A number, and the level that it has reached: in words beside the colour. */
function fillValue(element, panel, value) {
  const [, level] = (value === null ? undefined : panel.levels.findLast(([from]) => from === null || value >= from)) ?? [];
  element.className = `value ${level ?? ""}`;
  const words = document.createElement("span");
  words.textContent = LEVELS[level] ?? "";
  element.replaceChildren(valueWords(value, panel.unit), " ", words);
}

async function ask(one) {
  if (one.asking) return;
  one.asking = true;
  let state = "the console does not answer";
  try {
    const answer = await fetch(`/api/figures/${one.board}/${one.panel.id}?minutes=${$("minutes").value}${roleAsked()}`);
    if (answer.status === 401) location.assign("/login?next=/figures");
    state = answer.ok ? "live" : (await answer.text()).trim();
    if (answer.ok) {
      one.data = await answer.json();
      draw(one);
    }
  } catch {
    // As it stands.
  }
  one.asking = false;
  $("state").textContent = state;
  $("state").className = state === "live" ? "live" : "away";
}

const shownBoard = () => boards.find((one) => one.name === $("board").value) ?? boards[0];

/** What the address of a question has of a role: of the dashboards that tell roles apart. */
const roleAsked = () => (shownBoard().roles.length && $("role").value ? `&role=${$("role").value}` : "");

function show() {
  const board = shownBoard();
  $("whose").hidden = !board.roles.length;
  sight.disconnect();
  shown.clear();
  $("panels").replaceChildren();
  let row = null;
  let grid = null;
  for (const panel of board.panels) {
    if (row !== panel.row || !grid) {
      row = panel.row;
      if (row) {
        const heading = document.createElement("h2");
        heading.textContent = row;
        $("panels").append(heading);
      }
      grid = document.createElement("div");
      grid.className = "grid";
      $("panels").append(grid);
    }
    grid.append(make(board.name, panel));
  }
}

function changed() {
  history.replaceState(null, "", `?board=${$("board").value}&minutes=${$("minutes").value}${roleAsked()}`);
  show();
}

fillNav(await whoLooks());
try {
  const answer = await fetch("/api/figures");
  if (answer.status === 401) location.assign("/login?next=/figures");
  const known = await answer.json();
  boards = known.boards;
  $("board").append(...boards.map(({ name, title }) => new Option(title, name)));
  if (boards.some(({ name }) => name === given.get("board"))) $("board").value = given.get("board");
  $("role").append(...[...new Set(boards.flatMap(({ roles }) => roles))].map((name) => new Option(name)));
  if (shownBoard().roles.includes(given.get("role"))) $("role").value = given.get("role");
  $("none").hidden = known.there;
  $("state").textContent = known.there ? "asking" : "no Prometheus";
  if (known.there) show();
} catch {
  $("state").textContent = "the console does not answer";
}
for (const name of ["board", "minutes", "role"]) $(name).addEventListener("change", changed);
setInterval(() => {
  if (!document.hidden) for (const one of shown.values()) if (one.seen) ask(one);
}, AGAIN_MS);
function again() {
  for (const one of shown.values()) if (one.data) draw(one);
}

addEventListener("resize", again);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", again);
