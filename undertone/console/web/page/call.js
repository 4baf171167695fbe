// The page of one call: its whole timeline, its sound, its utterances as they end, and its summary.

import { Alerts } from "./alerts.js";
import { weigh } from "./attention.js";
import { Calls } from "./calls.js";
import { Controls } from "./controls.js";
import { follow } from "./feed.js";
import { fillNav } from "./nav.js";
import { fillLegend } from "./palette.js";
import { Markers } from "./markers.js";
import { Player } from "./player.js";
import { Said, whoLooks } from "./said.js";
import { Spectrogram } from "./spectrogram.js";
import { Stretch } from "./stretch.js";
import { drawLanes, drawSample, fit, theme } from "./timeline.js";
import { Utterances } from "./utterances.js";
import { Waveform } from "./waveform.js";
import { besideWords, labelWords } from "./words.js";

const $ = (id) => document.getElementById(id);
const id = decodeURIComponent(location.pathname.split("/").pop());
const calls = new Calls(true);
const lanes = new Map();
const view = { from: 0, to: 1 };
let told = -1;
let meets = "[]";
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
const markers = new Markers({
  seek: (second) => origin !== null && mayListen && player.seek(origin + 1000 * second),
  place: () => Math.max(0, player.position - origin) / 1000,
});
const alerts = new Alerts(id, mayListen ? (moment) => origin !== null && player.seek(moment) : null);
said?.remember(id);
askForAlerts();
for (const element of document.querySelectorAll(".label")) element.hidden = !mayListen;

const clock = follow(new URLSearchParams({ call: id }).toString(), {
  events: (events) => calls.take(events),
  anew: () => {
    calls.clear();
    told = -1;
  },
  alerts: (met) => {
    calls.meet(met);
    // All pages hear of all calls.
    const mine = JSON.stringify(met.filter((one) => one.call === id));
    if (mine !== meets) askForAlerts();
    meets = mine;
  },
  state: (text, kind) => {
    $("state").className = kind;
    if ($("state").textContent !== text) $("state").textContent = text;
  },
});

async function askForAlerts() {
  await alerts.ask();
  // What is told of the call has them, too.
  told = -1;
}

function laneOf(stream) {
  if (!lanes.has(stream.channel)) {
    const box = document.createElement("article");
    box.innerHTML =
      '<h2><span></span><span class="quiet"></span></h2><div class="lane"><canvas role="img"></canvas><canvas class="wave" hidden></canvas><canvas class="spectrum" role="img" hidden></canvas><div class="marked" hidden></div><div class="head" hidden></div></div><p class="quiet"></p>';
    const [heading, lane, summary] = box.children;
    const [canvas, wave, spectrum, marked, head] = lane.children;
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
    spectrum.setAttribute("aria-label", `Spectrogram of ${stream.channel}, 0 to 4 kHz`);
    const sounds = { waveform: new Waveform(id, stream.channel), spectrogram: new Spectrogram(id, stream.channel) };
    lanes.set(stream.channel, { newest: heading.lastChild, lane, canvas, wave, spectrum, marked, head, summary, ...sounds });
  }
  return lanes.get(stream.channel);
}

function summaryWords(stream) {
  const { summary } = stream;
  if (!summary) return "";
  const [label, detail] = labelWords(summary);
  const top = besideWords(summary.top);
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
  $("keys").hidden = !said?.digits;
  const spans = streams.flatMap((stream) => [...stream.all()].map((span) => ({ ...span, open: span === stream.open })));
  utterances.show(spans.sort((a, b) => b.to - a.to));
  const newest = streams.map((stream) => stream.summary ?? stream.newest).filter(Boolean);
  alerts.show(Math.min(...newest.map(startOf)));
  const events = newest.filter((event) => event.audio);
  if (events.length) begins(events);
  if (!mayListen) return;
  offer(call, events);
  stretch.show();
}

const startOf = (event) => Math.round(event.at - 1000 * event.end);

/** The start of the call's first stream. Times are whole milliseconds: it is not another one when it differs by one. */
function begins(events) {
  const began = Math.min(...events.map(startOf));
  if (origin === null || Math.abs(began - origin) > 5) origin = began;
}

/** What can be heard of the call by now: from the start of its first stream to its last event. */
function offer(call, events) {
  $("player").hidden = !events.length;
  if (!events.length) return;
  const names = events.map((event) => event.channel);
  controls.channels(names);
  player.offer(id, names, origin, call.at);
}

/** Piece after piece of the waveforms, and of the spectrograms where they are to be seen, one at a time. */
async function loadSounds() {
  if (loading || document.hidden || origin === null) return;
  loading = true;
  for (const [channel, { wave, spectrum, waveform, spectrogram }] of lanes) {
    if (!player.offered.channels.includes(channel)) continue;
    await loadPiece(waveform, wave, true);
    await loadPiece(spectrogram, spectrum, $("spectrum").checked);
  }
  loading = false;
}

async function loadPiece(pieces, canvas, wanted) {
  const asked = wanted && (await pieces.load(Math.max(origin, Math.round(view.from)), player.offered.to));
  const hidden = !wanted || !pieces.count;
  if (asked && pieces.trouble) $("trouble").textContent = pieces.trouble;
  if (asked || canvas.hidden !== hidden) drawn = "";
  canvas.hidden = hidden;
}

function draw(streams, from, now) {
  Object.assign(view, { from, to: now });
  for (const stream of streams) {
    const { canvas, wave, spectrum, waveform, spectrogram } = laneOf(stream);
    drawLanes(canvas, [stream], from, now, fit(canvas));
    if (!wave.hidden) waveform.draw(wave, from, now, fit(wave));
    if (spectrum.hidden) continue;
    fit(spectrum);
    spectrogram.draw(spectrum, from, now);
  }
}

const placeOf = (moment) => (moment - view.from) / (view.to - view.from);

/** Where it plays, on every lane, and what is marked. */
function drawHeads() {
  const place = placeOf(player.position);
  for (const [channel, { lane, head, canvas, marked }] of lanes) {
    markers.draw(lane, (second) => placeOf(origin + 1000 * second));
    const span = stretch?.span?.channel === channel ? stretch.span : null;
    marked.hidden = !span;
    if (span) {
      marked.style.left = `${100 * placeOf(span.from)}%`;
      marked.style.width = `${100 * (placeOf(span.to) - placeOf(span.from))}%`;
    }
    head.hidden = !mayListen || !(place >= 0 && place <= 1);
    head.style.transform = `translateX(${Math.round(place * (canvas.clientWidth - 2))}px)`;
  }
}

function frame() {
  const call = calls.byId.get(id);
  $("empty").hidden = Boolean(call) || !$("state").classList.contains("live");
  $("utterances").hidden = !$("empty").hidden;
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
    for (const [channel, { lane }] of lanes) alerts.draw(lane, channel, placeOf);
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
  const heard = mayListen && origin !== null;
  if (heard && stretch.key(event.key, channel, player.position)) event.preventDefault();
  else if (heard && event.key === "m") {
    markers.ask();
    event.preventDefault();
  } else if (utterances.key(event.key) || (heard && controls.key(event.key))) event.preventDefault();
});

// Whether the spectrogram is shown stands in the address, too.
$("spectrum").checked = new URLSearchParams(location.search).has("spectrum");
$("spectrum").addEventListener("change", () => {
  const parameters = new URLSearchParams(location.search);
  if ($("spectrum").checked) parameters.set("spectrum", "1");
  else parameters.delete("spectrum");
  history.replaceState(null, "", parameters.size ? `?${parameters}` : location.pathname);
});
if (mayListen) setInterval(loadSounds, 500);
// One that has waited for its rule's `again` comes while what is met stays the same.
setInterval(() => document.hidden || askForAlerts(), 30_000);
requestAnimationFrame(frame);
