// The page "Now": a row per call, those that need attention first. Only the rows that can be seen exist.

import { weigh } from "./attention.js";
import { Calls } from "./calls.js";
import { follow } from "./feed.js";
import { fillNav } from "./nav.js";
import { fillLegend } from "./palette.js";
import { whoLooks } from "./said.js";
import { drawLanes, drawSample, fit, theme } from "./timeline.js";
import { labelWords, normalWords } from "./words.js";

const SHOWN_MS = 120_000;
// Rows change places so often at most, or nobody could point at one.
const ORDER_MS = 1_000;
const $ = (id) => document.getElementById(id);
const list = $("list");
const filters = ["prefix", "role", "emotion", "urgent"].map($);

const calls = new Calls();
const rows = new Map();
const spare = [];
let order = [];
let chosen = null;
let ordered = 0;
let stale = true;
const weighing = { calls: [], next: 0 };
let legend = 0;

const clock = follow("", {
  events: (events) => calls.take(events),
  anew: () => calls.clear(),
  alerts: (alerts) => calls.meet(alerts),
  state: (text, kind) => {
    $("state").className = kind;
    if ($("state").textContent !== text) $("state").textContent = text;
  },
});

const narrow = matchMedia("(max-width: 720px)");
const rowHeight = () => (narrow.matches ? 118 : 72);

// Filters stand in the address, so that a view can be shared and comes back after a reload.
const asked = new URLSearchParams(location.search);
for (const field of filters) {
  if (field.type === "checkbox") field.checked = asked.has(field.id);
  else if (asked.get(field.id)) {
    if (field.id === "emotion") field.append(new Option(asked.get("emotion")));
    field.value = asked.get(field.id);
  }
  field.addEventListener("input", () => {
    const now = new URLSearchParams();
    for (const one of filters) {
      const value = one.type === "checkbox" ? (one.checked ? "1" : "") : one.value;
      if (value) now.set(one.id, value);
    }
    history.replaceState(null, "", now.size ? `?${now}` : location.pathname);
    stale = true;
  });
}
$("filters").addEventListener("submit", (event) => event.preventDefault());

function streamsOf(call) {
  const role = $("role").value;
  return [...call.streams.values()].filter((stream) => !role || stream.role === role);
}

function isWanted(call) {
  if (!call.id.startsWith($("prefix").value.trim())) return false;
  if ($("urgent").checked && !call.score) return false;
  const streams = streamsOf(call);
  const emotion = $("emotion").value;
  return streams.length > 0 && (!emotion || streams.some((stream) => stream.newest?.label === emotion));
}

function putInOrder() {
  const time = clock();
  calls.forget(time);
  order = [...calls.byId.values()].filter(isWanted).sort(before);
  list.setAttribute("aria-rowcount", order.length);
  $("rows").style.height = `${order.length * rowHeight()}px`;
  $("empty").hidden = order.length > 0;
  const filtered = calls.byId.size > 0;
  $("none").hidden = filtered;
  $("others").hidden = !filtered;
  const running = order.filter((call) => !call.over).length;
  const urgent = order.filter((call) => call.score).length;
  $("counts").textContent = `${running} running, ${urgent} need attention, ${order.length - running} over`;
  if (calls.labels.size !== legend) {
    legend = calls.labels.size;
    fillLegend($("legend"), calls.labels, drawSample);
    const known = new Set([...$("emotion").options].map((option) => option.value));
    for (const label of [...calls.labels, "uncertain"].sort()) if (!known.has(label)) $("emotion").append(new Option(label));
  }
  speak();
}

// A part of the calls with each frame, so that each is weighed once a second and no frame waits for two thousand.
function weighSome(time) {
  if (weighing.next >= weighing.calls.length) {
    weighing.calls = [...calls.byId.values()];
    weighing.next = 0;
  }
  const end = weighing.next + Math.ceil(weighing.calls.length / 30);
  for (const call of weighing.calls.slice(weighing.next, end)) weigh(call, time);
  weighing.next = end;
}

const kind = (call) => (call.over ? 2 : call.score ? 0 : 1);

// Within a kind by steps of the score, so that two calls do not change places every second.
function before(a, b) {
  return kind(a) - kind(b) || Math.round(b.score / 10) - Math.round(a.score / 10) || (a.id < b.id ? -1 : 1);
}

// Who listens to the page hears which calls have come to need attention.
function speak() {
  const fresh = [];
  for (const call of order) {
    if (call.score && !call.spokenOf) fresh.push(`${call.id}: ${call.reasons[0]}`);
    call.spokenOf = call.score > 0;
  }
  if (fresh.length) $("spoken").textContent = fresh.slice(0, 3).join("; ");
}

function makeRow() {
  const row = document.createElement("div");
  row.className = "row";
  row.setAttribute("role", "row");
  row.innerHTML =
    '<div class="id" role="gridcell"><a tabindex="-1"></a><span></span></div>' +
    '<canvas role="gridcell"></canvas><div class="newest" role="gridcell"><div></div><div></div></div>';
  row.addEventListener("click", (event) => {
    if (event.target.tagName !== "A") openCall(row.dataset.id);
  });
  const [id, canvas, newest] = row.children;
  return { row, link: id.firstChild, reason: id.lastChild, canvas, newest: [...newest.children], call: null, drawn: "" };
}

function openCall(id) {
  location.assign(`/calls/${encodeURIComponent(id)}`);
}

function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function fillRow(one, call, index, height, time) {
  if (one.call !== call) {
    one.call = call;
    one.drawn = one.said = "";
    one.row.dataset.id = call.id;
    one.row.id = `row-${call.id}`;
    setText(one.link, call.id);
    one.link.href = `/calls/${encodeURIComponent(call.id)}`;
  }
  const place = `${index} ${height}`;
  if (one.place !== place) {
    one.place = place;
    one.row.style.transform = `translateY(${index * height}px)`;
    one.row.setAttribute("aria-rowindex", index + 1);
  }
  const streams = streamsOf(call);
  const said = `${call.changed} ${call.reasons.join()} ${call.over} ${call.id === chosen} ${streams.length}`;
  if (one.said !== said) {
    one.said = said;
    one.row.className = `row${call.score ? " urgent" : ""}${call.over ? " over" : ""}${call.id === chosen ? " chosen" : ""}`;
    one.row.setAttribute("aria-selected", call.id === chosen);
    setText(one.reason, call.over ? "over" : call.score ? `\u25B2 ${call.reasons.join(", ")}` : "");
    one.newest.forEach((element, number) => fillNewest(element, streams[number]));
    one.newest[0].parentElement.classList.toggle("alone", streams.length < 2);
  }
  const now = call.now(time);
  const width = one.canvas.clientWidth * devicePixelRatio;
  // Six pixels a second pass: drawn anew when the picture is another one, not with each frame.
  const drawn = `${Math.floor((now / SHOWN_MS) * width)} ${call.changed} ${streams.length} ${width} ${theme()}`;
  if (one.drawn !== drawn) {
    one.drawn = drawn;
    drawLanes(one.canvas, streams, now - SHOWN_MS, now, fit(one.canvas));
    one.canvas.setAttribute("aria-label", `${streams.length} channels, the last two minutes`);
  }
}

function fillNewest(element, stream) {
  const span = stream?.summary?.top.length ? stream.summary : stream?.newest;
  if (!span) {
    element.replaceChildren(stream?.summary ? "no speech" : "");
    return;
  }
  const [label, detail] = labelWords(span);
  const bold = document.createElement("b");
  bold.textContent = label;
  const who = document.createElement("span");
  who.className = "who";
  who.textContent = stream.channel;
  const normal = stream.summary ? "" : normalWords(span);
  element.className = span.label === "uncertain" ? "uncertain" : "";
  element.replaceChildren(who, " ", bold, ` ${detail}`, normal ? `, ${normal}` : "");
  element.title = element.textContent;
}

function frame() {
  const time = clock();
  weighSome(time);
  if (stale || performance.now() - ordered > ORDER_MS) {
    ordered = performance.now();
    stale = false;
    putInOrder();
  }
  const height = rowHeight();
  const first = Math.max(0, Math.floor(list.scrollTop / height) - 1);
  const last = Math.min(order.length, Math.ceil((list.scrollTop + list.clientHeight) / height) + 1);
  const seen = new Set(order.slice(first, last).map((call) => call.id));
  for (const [id, one] of rows) {
    if (!seen.has(id)) {
      rows.delete(id);
      one.row.remove();
      one.call = null;
      spare.push(one);
    }
  }
  for (let index = first; index < last; index += 1) {
    const call = order[index];
    let one = rows.get(call.id);
    if (!one) {
      one = spare.pop() ?? makeRow();
      rows.set(call.id, one);
      $("rows").append(one.row);
    }
    fillRow(one, call, index, height, time);
  }
  if (chosen && rows.has(chosen)) list.setAttribute("aria-activedescendant", `row-${chosen}`);
  else list.removeAttribute("aria-activedescendant");
  requestAnimationFrame(frame);
}

function choose(index) {
  if (!order.length) return;
  const place = Math.max(0, Math.min(order.length - 1, index));
  chosen = order[place].id;
  const top = place * rowHeight();
  if (top < list.scrollTop) list.scrollTop = top;
  const bottom = top + rowHeight() - list.clientHeight;
  if (bottom > list.scrollTop) list.scrollTop = bottom;
}

list.addEventListener("keydown", (event) => {
  const place = order.findIndex((call) => call.id === chosen);
  const page = Math.max(1, Math.floor(list.clientHeight / rowHeight()) - 1);
  const steps = { ArrowDown: place + 1, ArrowUp: place < 0 ? 0 : place - 1, PageDown: place + page, PageUp: place - page, Home: 0, End: order.length - 1 };
  if (event.key in steps) choose(steps[event.key]);
  else if (event.key === "Enter" && chosen) openCall(chosen);
  else return;
  event.preventDefault();
});

addEventListener("keydown", (event) => {
  const writing = ["INPUT", "SELECT"].includes(document.activeElement.tagName);
  if (event.key === "/" && !writing) {
    $("prefix").focus();
    event.preventDefault();
  } else if (event.key === "Escape" && writing) {
    list.focus();
    // A browser would empty the field.
    event.preventDefault();
  }
});

whoLooks().then(fillNav);
requestAnimationFrame(frame);
