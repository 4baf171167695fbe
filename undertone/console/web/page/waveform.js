// A channel's waveform: its peaks.

import { POINT_MS, Pieces } from "./pieces.js";

export class Waveform extends Pieces {
  constructor(call, channel) {
    super("peaks", call, channel);
    this.peaks = [];
  }

  get count() {
    return this.peaks.length;
  }

  async take(answer) {
    const { peaks } = await answer.json();
    for (const peak of peaks) this.peaks.push(peak);
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
