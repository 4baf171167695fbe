// The page of one call: its whole timeline, its utterances as they end, and its summary.

import { weigh } from "./attention.js";
import { Calls } from "./calls.js";
import { follow } from "./feed.js";
import { fillLegend } from "./palette.js";
import { drawLanes, drawSample, fit, theme } from "./timeline.js";
import { clockWords, labelWords, normalWords, percent } from "./words.js";

const $ = (id) => document.getElementById(id);
const id = decodeURIComponent(location.pathname.split("/").pop());
const calls = new Calls(true);
const lanes = new Map();
let told = -1;
let legend = 0;
let drawn = "";

$("name").textContent = id;
document.title = `${id} - Undertone`;

const clock = follow(new URLSearchParams({ call: id }).toString(), {
  events: (events) => calls.take(events),
  anew: () => {
    calls.clear();
    told = -1;
  },
  state: (text, kind) => {
    $("state").className = kind;
    if ($("state").textContent !== text) $("state").textContent = text;
  },
});

function laneOf(stream) {
  if (!lanes.has(stream.channel)) {
    const box = document.createElement("article");
    box.innerHTML = '<h2><span></span><span class="quiet"></span></h2><canvas role="img"></canvas><p class="quiet"></p>';
    const [heading, canvas, summary] = box.children;
    heading.firstChild.textContent = stream.channel;
    canvas.setAttribute("aria-label", `Timeline of ${stream.channel}; the table below has the same in words`);
    $("channels").append(box);
    lanes.set(stream.channel, { newest: heading.lastChild, canvas, summary });
  }
  return lanes.get(stream.channel);
}

function summaryWords(stream) {
  const { summary } = stream;
  if (!summary) return "";
  const [label, detail] = labelWords(summary);
  const top = summary.top.map(([name, probability]) => `${name} ${percent(probability)}`).join(", ");
  return `Over: ${label} ${detail}, ${summary.speech.toFixed(1)} s of speech. ${top}`;
}

function row(span, open) {
  const line = document.createElement("tr");
  if (open) line.className = "open";
  const [label, detail] = labelWords(span);
  const beside = span.top.slice(1).map(([name, probability]) => `${name} ${percent(probability)}`).join(", ");
  const cells = [`${clockWords(span.start)} - ${open ? "now" : clockWords(span.end)}`, span.channel, label, detail, beside, normalWords(span)];
  line.append(
    ...cells.map((text) => {
      const cell = document.createElement("td");
      cell.textContent = text;
      return cell;
    }),
  );
  return line;
}

function tell(call) {
  const streams = [...call.streams.values()];
  for (const stream of streams) {
    const lane = laneOf(stream);
    lane.newest.textContent = stream.summary ? "over" : stream.newest ? labelWords(stream.newest).join(" ") : "";
    lane.summary.textContent = summaryWords(stream);
  }
  const spans = streams.flatMap((stream) => [...stream.all()].map((span) => [span, span === stream.open]));
  spans.sort((a, b) => b[0].to - a[0].to);
  $("events").replaceChildren(...spans.map(([span, open]) => row(span, open)));
}

function frame() {
  const call = calls.byId.get(id);
  $("empty").hidden = Boolean(call) || !$("state").classList.contains("live");
  if (call) {
    const time = clock();
    if (told !== call.changed) {
      told = call.changed;
      tell(call);
    }
    weigh(call, time);
    const reason = call.reasons.join(", ");
    if ($("reason").textContent !== reason) $("reason").textContent = reason;
    const now = call.now(time);
    const streams = [...call.streams.values()];
    const from = Math.min(now - 30_000, ...streams.map((stream) => [...stream.all()][0]?.from ?? now));
    const key = `${told} ${Math.floor(now / 50)} ${innerWidth} ${theme()}`;
    if (key !== drawn) {
      drawn = key;
      for (const stream of streams) {
        const { canvas } = laneOf(stream);
        drawLanes(canvas, [stream], from, now, fit(canvas));
      }
    }
    if (calls.labels.size !== legend) {
      legend = calls.labels.size;
      fillLegend($("legend"), calls.labels, drawSample);
    }
  }
  requestAnimationFrame(frame);
}

requestAnimationFrame(frame);
