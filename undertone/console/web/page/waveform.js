// A channel's waveform: its peaks as they come from the console, piece by piece.

import { whyNot } from "./player.js";

// As the console gives them.
const POINT_MS = 50;
const PIECE_MS = 60_000;
// A piece is asked for when so much of it is there.
const LEAST_MS = 2_000;
const AGAIN_MS = 10_000;

export class Waveform {
  constructor(call, channel) {
    this.address = `/api/calls/${encodeURIComponent(call)}/peaks/${encodeURIComponent(channel)}`;
    this.from = null;
    this.peaks = [];
    this.pause = 0;
    this.trouble = "";
    this.over = false;
  }

  /** Ask for the next piece, where there is one to ask for; whether it did. */
  async load(from, to) {
    this.from ??= from;
    const first = this.from + POINT_MS * this.peaks.length;
    const end = Math.min(first + PIECE_MS, to - ((to - first) % POINT_MS));
    if (this.over || performance.now() < this.pause || end - first < LEAST_MS) return false;
    try {
      const answer = await fetch(`${this.address}?from=${first}&to=${end}`);
      this.over = [401, 403, 410].includes(answer.status);
      if (!answer.ok) throw new Error(whyNot(answer.status));
      const { peaks } = await answer.json();
      for (const peak of peaks) this.peaks.push(peak);
      this.trouble = "";
    } catch (error) {
      this.trouble = error.message;
      this.pause = performance.now() + AGAIN_MS;
    }
    return true;
  }

  /** Draw what lies between two moments. What is not in Kafka stays empty. */
  draw(canvas, from, to, scale) {
    const context = canvas.getContext("2d");
    const { width, height } = canvas;
    const style = getComputedStyle(canvas);
    const perPoint = (width * POINT_MS) / Math.max(1, to - from);
    context.clearRect(0, 0, width, height);
    context.fillStyle = style.color;
    const step = Math.max(1, Math.ceil(1 / perPoint));
    for (let index = Math.max(0, Math.floor((from - this.from) / POINT_MS)); index < this.peaks.length; index += step) {
      let most = -1;
      for (const peak of this.peaks.slice(index, index + step)) if (peak !== null && peak > most) most = peak;
      if (most < 0) continue;
      // By the root: a voice on a telephone is seen beside a loud one.
      const high = Math.max(scale, Math.sqrt(most / 1000) * height);
      const left = (this.from + index * POINT_MS - from) * (width / Math.max(1, to - from));
      context.fillRect(left, (height - high) / 2, Math.max(1, perPoint * step - (perPoint > 3 ? scale : 0)), high);
    }
  }
}
