// A stretch of a channel that somebody has marked, to say what it was: dragged over a timeline, or between two keys.

import { answers } from "./utterances.js";
import { clockWords } from "./words.js";

// Less is a click.
const DRAG_PX = 5;
const LEAST_MS = 250;
const MOST_MS = 60_000;
const $ = (id) => document.getElementById(id);

export class Stretch {
  /** `on.play(span)` plays it; `on.stream(channel)` is its stream, whose newest event tells its start. */
  constructor(call, said, on) {
    this.call = call;
    this.said = said;
    this.on = on;
    this.span = null;
    this.first = null;
    this.told = "";
    $("leave").addEventListener("click", () => this.leave());
    $("hear").addEventListener("click", () => on.play(this.span));
  }

  /** Let a lane be dragged over; `moment(x)` is the moment at a place of it. `clicked(moment)` is what a click does. */
  listen(lane, channel, moment, clicked) {
    let from = null;
    lane.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      from = event.offsetX;
      lane.setPointerCapture(event.pointerId);
    });
    lane.addEventListener("pointermove", (event) => {
      if (from !== null && Math.abs(event.offsetX - from) > DRAG_PX) this.mark(channel, moment(from), moment(event.offsetX));
    });
    lane.addEventListener("pointerup", (event) => {
      if (from !== null && Math.abs(event.offsetX - from) <= DRAG_PX) clicked(moment(event.offsetX));
      from = null;
    });
    lane.addEventListener("pointercancel", () => (from = null));
  }

  /** Mark what lies between two moments, within what events speak of. */
  mark(channel, one, other) {
    const stream = this.on.stream(channel);
    const newest = stream?.summary ?? stream?.newest;
    if (!newest) return;
    const began = newest.at - 1000 * newest.end;
    const sample = (moment) => Math.round(((moment - began) * newest.rate) / 1000);
    const from = Math.max(began, Math.min(one, other));
    const to = Math.min(newest.at, Math.max(one, other), from + MOST_MS);
    if (to - from < LEAST_MS) return;
    const stretch = { call: this.call, channel, start: sample(from), end: sample(to) };
    const place = `${channel} ${stretch.start} ${stretch.end}`;
    const top = this.said.emotions.map((name) => [name, 0]);
    this.span = { stretch, place, channel, from, to, start: (from - began) / 1000, end: (to - began) / 1000, top };
    this.show();
  }

  /** Show what is marked, and what was said of it. */
  show() {
    const { span } = this;
    $("stretch").hidden = !span;
    if (!span) return;
    $("which").textContent = `${span.channel}, ${clockWords(span.start)} - ${clockWords(span.end)}`;
    const one = this.said.of(span) ?? { state: "none" };
    const told = `${span.place} ${one.state} ${one.emotion} ${one.why}`;
    if (this.told === told) return;
    this.told = told;
    const held = $("answers").contains(document.activeElement);
    $("answers").replaceChildren(...answers(span, this.said, one));
    if (held) $("answers").querySelector("button")?.focus();
  }

  leave() {
    this.span = null;
    this.show();
  }

  /** What a key does here, with the playhead at a moment of a channel; whether it does anything. */
  key(key, channel, moment) {
    if (key === "[") {
      this.first = { channel, moment };
      $("spoken").textContent = `a stretch of ${channel} begins here`;
    } else if (key === "]" && this.first) this.mark(this.first.channel, this.first.moment, moment);
    else if (!this.span) return false;
    else if (key === "Escape") this.leave();
    else if (key === "u") this.said.takeBack(this.span);
    else if (/^[1-9]$/.test(key) && this.said.emotions[key - 1]) this.said.say(this.span, this.said.emotions[key - 1]);
    else return false;
    return true;
  }
}
