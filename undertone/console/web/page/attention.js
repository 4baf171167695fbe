// Which calls need somebody: displeasure that lasts, a sharp turn for the worse, both talking, a long silence.

import { sideOf } from "./palette.js";

const WINDOW_MS = 30_000;
const LASTS_MS = 6_000;
// Less than this is a model's guess.
const SURE = 0.4;
const TURN_MS = 15_000;
const TURN = 0.6;
const TALK_MS = 15_000;
const BOTH_MS = 3_000;
const SILENT_MS = 20_000;

const within = (span, from, to) => Math.max(0, Math.min(span.to, to) - Math.max(span.from, from));

/** Sets `call.reasons`, sentences for people, and `call.score`: 0 where nothing needs attention. */
export function weigh(call, clock) {
  call.reasons = [];
  call.score = 0;
  if (call.over) return;
  const now = call.now(clock);
  for (const stream of call.streams.values()) {
    const bad = badTime(stream, now);
    if (bad.ms >= LASTS_MS) add(call, 100 + bad.ms / 1000, `${bad.label} for ${Math.round(bad.ms / 1000)} s${who(call, stream)}`);
    if (turned(stream, now)) add(call, 80, `turned for the worse${who(call, stream)}`);
  }
  if (bothMs(call, now) >= BOTH_MS) add(call, 60, "both talking");
  const silent = now - lastSpeech(call);
  if (silent >= SILENT_MS) add(call, 40, `silent for ${Math.round(silent / 1000)} s`);
}

function add(call, score, reason) {
  call.score = Math.max(call.score, score);
  call.reasons.push(reason);
}

const who = (call, stream) => (call.streams.size > 1 ? ` (${stream.channel})` : "");

/** How long of the last half minute sounded bad, and what most of it was. */
function badTime(stream, now) {
  const by = new Map();
  let ms = 0;
  for (const span of stream.all()) {
    const length = within(span, now - WINDOW_MS, now);
    if (!length || span.label === "uncertain" || sideOf(span) >= 0 || !(span.top[0]?.[1] >= SURE)) continue;
    ms += length;
    by.set(span.label, (by.get(span.label) ?? 0) + length);
  }
  const [label] = [...by].sort((a, b) => b[1] - a[1])[0] ?? [""];
  return { ms, label };
}

function turned(stream, now) {
  const mean = (from, to, least) => {
    let sum = 0;
    let ms = 0;
    for (const span of stream.all()) {
      const length = span.valence === null ? 0 : within(span, from, to);
      sum += length * span.valence;
      ms += length;
    }
    return ms >= least ? sum / ms : null;
  };
  const before = mean(now - 60_000 - TURN_MS, now - TURN_MS, 4000);
  const lately = mean(now - TURN_MS, now, 1500);
  return before !== null && lately !== null && before - lately >= TURN;
}

function bothMs(call, now) {
  const [first, second] = call.streams.values();
  if (!second) return 0;
  let ms = 0;
  for (const one of first.all()) {
    const from = Math.max(one.from, now - TALK_MS);
    if (one.to > from) for (const other of second.all()) ms += within(other, from, one.to);
  }
  return ms;
}

function lastSpeech(call) {
  let last = 0;
  for (const stream of call.streams.values()) if (stream.newest) last = Math.max(last, stream.newest.to);
  return last;
}
