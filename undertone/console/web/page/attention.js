// Which calls need somebody: those that meet a rule, then displeasure that lasts, a sharp turn for the worse, both talking, a long silence.

import { sideOf } from "./palette.js";

const WINDOW_MS = 30_000;
const LASTS_MS = 6_000;
// Less than this is a model's guess.
const SURE = 0.4;
const TURN_MS = 15_000;
// What a turn is measured against: the minute before.
const MEMORY_MS = 60_000 + TURN_MS;
const TURN = 0.6;
const TALK_MS = 15_000;
const BOTH_MS = 3_000;
const SILENT_MS = 20_000;
// What people have asked for comes before what we think.
const RULE = 10_000;

const within = (span, from, to) => Math.max(0, Math.min(span.to, to) - Math.max(span.from, from));

/** Sets `call.reasons`, sentences for people, and `call.score`: 0 where nothing needs attention. */
export function weigh(call, clock) {
  call.reasons = [];
  call.score = 0;
  if (call.over) return;
  for (const { rule, channel, reason } of call.alerts ?? []) {
    add(call, RULE, `${rule}: ${reason}${channel && call.streams.size > 1 ? ` (${channel})` : ""}`);
  }
  const now = call.now(clock);
  const lately = [];
  for (const stream of call.streams.values()) {
    const spans = since(stream, now - MEMORY_MS);
    lately.push(spans);
    const bad = badTime(spans, now);
    if (bad.ms >= LASTS_MS) add(call, 100 + bad.ms / 1000, `${bad.label} for ${Math.round(bad.ms / 1000)} s${who(call, stream)}`);
    if (turned(spans, now)) add(call, 80, `turned for the worse${who(call, stream)}`);
  }
  if (lately.length > 1 && bothMs(lately[0], lately[1], now) >= BOTH_MS) add(call, 60, "both talking");
  const silent = now - lastSpeech(call);
  if (silent >= SILENT_MS) add(call, 40, `silent for ${Math.round(silent / 1000)} s`);
}

function add(call, score, reason) {
  call.score = Math.max(call.score, score);
  call.reasons.push(reason);
}

const who = (call, stream) => (call.streams.size > 1 ? ` (${stream.channel})` : "");

/** The spans that reach beyond a moment, the newest first: what is older is not looked at, for there may be much of it. */
function since(stream, from) {
  const found = stream.open ? [stream.open] : [];
  for (let index = stream.spans.length - 1; index >= 0 && stream.spans[index].to > from; index -= 1) found.push(stream.spans[index]);
  return found;
}

/** How long of the last half minute sounded bad, and what most of it was. */
function badTime(spans, now) {
  const by = new Map();
  let ms = 0;
  for (const span of spans) {
    const length = within(span, now - WINDOW_MS, now);
    if (!length || span.label === "uncertain" || sideOf(span) >= 0 || !(span.top[0]?.[1] >= SURE)) continue;
    ms += length;
    by.set(span.label, (by.get(span.label) ?? 0) + length);
  }
  if (ms < LASTS_MS) return { ms, label: "" };
  const [label] = [...by].sort((a, b) => b[1] - a[1])[0];
  return { ms, label };
}

function turned(spans, now) {
  const before = meanValence(spans, now - MEMORY_MS, now - TURN_MS, 4000);
  const lately = meanValence(spans, now - TURN_MS, now, 1500);
  return before !== null && lately !== null && before - lately >= TURN;
}

/** By the time that was spoken; null where that was less than `least` ms. */
function meanValence(spans, from, to, least) {
  let sum = 0;
  let ms = 0;
  for (const span of spans) {
    const length = span.valence === null ? 0 : within(span, from, to);
    sum += length * span.valence;
    ms += length;
  }
  return ms >= least ? sum / ms : null;
}

function bothMs(first, second, now) {
  let ms = 0;
  for (const one of first) {
    const from = Math.max(one.from, now - TALK_MS);
    if (one.to > from) for (const other of second) ms += within(other, from, one.to);
  }
  return ms;
}

function lastSpeech(call) {
  let last = 0;
  for (const stream of call.streams.values()) if (stream.newest) last = Math.max(last, stream.newest.to);
  return last;
}
