// The page of one call: its whole timeline, its sound, its utterances as they end, and its summary.

import { weigh } from "./attention.js";
import { Calls } from "./calls.js";
import { Controls } from "./controls.js";
import { follow } from "./feed.js";
import { fillNav } from "./nav.js";
import { fillLegend } from "./palette.js";
import { Player } from "./player.js";
import { Said, whoLooks } from "./said.js";
import { Stretch } from "./stretch.js";
import { drawLanes, drawSample, fit, theme } from "./timeline.js";
import { Utterances } from "./utterances.js";
import { Waveform } from "./waveform.js";
import { labelWords, percent } from "./words.js";

const $ = (id) => document.getElementById(id);
const id = decodeURIComponent(location.pathname.split("/").pop());
const calls = new Calls(true);
const lanes = new Map();
const view = { from: 0, to: 1 };
let told = -1;
let legend = 0;
let drawn = "";
let loading = false;
// Where the sound's first second is, ms on the call's clock: the start of the stream that began first.
let origin = null;

$("name").textContent = id;
document.title = `${id} - Undertone`;

const me = await whoLooks();
fillNav(me);
const mayListen = me.may.includes("label");
const player = new Player((text) => ($("trouble").textContent = text));
const controls = new Controls(player);
const said = mayListen ? new Said(me, () => (told = -1), (text) => ($("spoken").textContent = text)) : null;
const utterances = new Utterances($("events"), said, {
  play: (span) => player.play(span.from, span.to),
  where: (span) => span.channel,
  chosen: (span) => player.running || (player.at = span.from),
});
const stretch = said && new Stretch(id, said, {
  play: (span) => player.play(span.from, span.to),
  stream: (channel) => calls.byId.get(id)?.streams.get(channel),
});
said?.remember(id);
for (const element of document.querySelectorAll(".label")) element.hidden = !mayListen;

const clock = follow(new URLSearchParams({ call: id }).toString(), {
  events: (events) => calls.take(events),
  anew: () => {
    calls.clear();
    told = -1;
  },
  alerts: (alerts) => calls.meet(alerts),
  state: (text, kind) => {
    $("state").className = kind;
    if ($("state").textContent !== text) $("state").textContent = text;
  },
});

function laneOf(stream) {
  if (!lanes.has(stream.channel)) {
    const box = document.createElement("article");
    box.innerHTML =
      '<h2><span></span><span class="quiet"></span></h2><div class="lane"><canvas role="img"></canvas><canvas class="wave" hidden></canvas><div class="marked" hidden></div><div class="head" hidden></div></div><p class="quiet"></p>';
    const [heading, lane, summary] = box.children;
    const [canvas, wave, marked, head] = lane.children;
    heading.firstChild.textContent = stream.channel;
    canvas.setAttribute("aria-label", `Timeline of ${stream.channel}; the table below has the same in words`);
    $("channels").append(box);
    if (mayListen) {
      lane.classList.add("heard");
      const moment = (x) => view.from + (x / lane.clientWidth) * (view.to - view.from);
      stretch.listen(lane, stream.channel, moment, (at) => {
        player.seek(at);
        if (!player.running) player.play();
      });
    }
    lanes.set(stream.channel, { newest: heading.lastChild, canvas, wave, marked, head, summary, waveform: new Waveform(id, stream.channel) });
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

function tell(call) {
  const streams = [...call.streams.values()];
  for (const stream of streams) {
    const lane = laneOf(stream);
    lane.newest.textContent = stream.summary ? "over" : stream.newest ? labelWords(stream.newest).join(" ") : "";
    lane.summary.textContent = summaryWords(stream);
  }
  // A console that was asked before there was an event knows no emotions.
  if (said && !me.emotions.length) said.emotions = [...calls.labels].sort();
  if (said) $("digits").textContent = said.digits;
  const spans = streams.flatMap((stream) => [...stream.all()].map((span) => ({ ...span, open: span === stream.open })));
  utterances.show(spans.sort((a, b) => b.to - a.to));
  if (!mayListen) return;
  offer(call, streams);
  stretch.show();
}

/** What can be heard of the call by now: from the start of its first stream to its last event. */
function offer(call, streams) {
  const events = streams.map((stream) => stream.summary ?? stream.newest).filter((event) => event?.audio);
  $("player").hidden = !events.length;
  if (!events.length) return;
  const began = Math.min(...events.map((event) => Math.round(event.at - 1000 * event.end)));
  // Times are whole milliseconds: it is not another start when it differs by one.
  if (origin === null || Math.abs(began - origin) > 5) origin = began;
  const names = events.map((event) => event.channel);
  controls.channels(names);
  player.offer(id, names, origin, call.at);
}

/** Piece after piece of the waveforms, one at a time. */
async function loadWaveforms() {
  if (loading || document.hidden || origin === null) return;
  loading = true;
  for (const [channel, { wave, waveform }] of lanes) {
    if (!player.offered.channels.includes(channel)) continue;
    const asked = await waveform.load(Math.max(origin, Math.round(view.from)), player.offered.to);
    wave.hidden = !waveform.peaks.length;
    if (asked && waveform.trouble) $("trouble").textContent = waveform.trouble;
    if (asked) drawn = "";
  }
  loading = false;
}

function draw(streams, from, now) {
  Object.assign(view, { from, to: now });
  for (const stream of streams) {
    const { canvas, wave, waveform } = laneOf(stream);
    drawLanes(canvas, [stream], from, now, fit(canvas));
    if (!wave.hidden) waveform.draw(wave, from, now, fit(wave));
  }
}

const placeOf = (moment) => (moment - view.from) / (view.to - view.from);

/** Where it plays, on every lane, and what is marked. */
function drawHeads() {
  const place = placeOf(player.position);
  for (const [channel, { head, canvas, marked }] of lanes) {
    const span = stretch.span?.channel === channel ? stretch.span : null;
    marked.hidden = !span;
    if (span) {
      marked.style.left = `${100 * placeOf(span.from)}%`;
      marked.style.width = `${100 * (placeOf(span.to) - placeOf(span.from))}%`;
    }
    head.hidden = !(place >= 0 && place <= 1);
    head.style.transform = `translateX(${Math.round(place * (canvas.clientWidth - 2))}px)`;
  }
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
    const first = Math.min(now - 30_000, ...streams.map((stream) => [...stream.all()][0]?.from ?? now));
    // From the call's start, unless nothing is known of its first minutes.
    const from = origin !== null && first - origin < 60_000 ? origin : first;
    const key = `${told} ${Math.floor(now / 50)} ${innerWidth} ${theme()}`;
    if (key !== drawn) {
      drawn = key;
      draw(streams, from, now);
    }
    if (origin !== null) {
      controls.tick();
      drawHeads();
    }
    if (calls.labels.size !== legend) {
      legend = calls.labels.size;
      fillLegend($("legend"), calls.labels, drawSample);
    }
  }
  requestAnimationFrame(frame);
}

addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const { tagName } = document.activeElement;
  // A field has its own keys, and a button its own for being pressed.
  if (["INPUT", "SELECT"].includes(tagName) || (["BUTTON", "A"].includes(tagName) && [" ", "Enter"].includes(event.key))) return;
  const channel = utterances.span?.channel ?? player.offered.channels[0];
  if (origin !== null && stretch.key(event.key, channel, player.position)) event.preventDefault();
  else if (utterances.key(event.key) || (origin !== null && controls.key(event.key))) event.preventDefault();
});

setInterval(loadWaveforms, 500);
requestAnimationFrame(frame);
