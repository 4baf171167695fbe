// Something of a channel's sound, piece by piece as the console gives it: a waveform, or a spectrogram.

import { whyNot } from "./player.js";

// As the console gives them.
export const POINT_MS = 50;
const PIECE_MS = 60_000;
// A piece is asked for when so much of it is there.
const LEAST_MS = 2_000;
const AGAIN_MS = 10_000;

export class Pieces {
  /** `what` is the address's part that names it. Who extends it has `count`, the points so far, and `take(answer)`. */
  constructor(what, call, channel) {
    this.address = `/api/calls/${encodeURIComponent(call)}/${what}/${encodeURIComponent(channel)}`;
    this.from = null;
    this.pause = 0;
    this.trouble = "";
    this.over = false;
  }

  /** Ask for the next piece, where there is one to ask for; whether it did. */
  async load(from, to) {
    this.from ??= from;
    const first = this.from + POINT_MS * this.count;
    const end = Math.min(first + PIECE_MS, to - ((to - first) % POINT_MS));
    if (this.over || performance.now() < this.pause || end - first < LEAST_MS) return false;
    try {
      const answer = await fetch(`${this.address}?from=${first}&to=${end}`);
      this.over = [401, 403, 410].includes(answer.status);
      if (!answer.ok) throw new Error(whyNot(answer.status));
      await this.take(answer);
      this.trouble = "";
    } catch (error) {
      this.trouble = error.message;
      this.pause = performance.now() + AGAIN_MS;
    }
    return true;
  }
}
