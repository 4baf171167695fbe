// A channel's spectrogram: the darker the louder, low below and high above.

import { POINT_MS, Pieces } from "./pieces.js";

// As the console gives them.
const BANDS = 64;
// One canvas for each minute: it is painted once, and stretched to where it belongs.
const TILE = 1_200;
// Of a call that is longer no column would be seen: 20 MB of memory by then.
const MOST = 60 * TILE;

export class Spectrogram extends Pieces {
  constructor(call, channel) {
    super("spectrum", call, channel);
    this.count = 0;
    this.points = [];
    this.tiles = [];
    this.colour = "";
  }

  async take(answer) {
    const bytes = new Uint8Array(await answer.arrayBuffer());
    const first = this.count;
    for (let at = 0; at < bytes.length; at += BANDS) this.points.push(bytes.subarray(at, at + BANDS));
    this.count = this.points.length;
    this.over ||= this.count >= MOST;
    this.tiles.length = Math.min(this.tiles.length, Math.floor(first / TILE));
  }

  /** Draw what lies between two moments. What is not in Kafka stays empty. */
  draw(canvas, from, to) {
    const context = canvas.getContext("2d");
    const { width, height } = canvas;
    const { color } = getComputedStyle(canvas);
    if (color !== this.colour) this.tiles = [];
    this.colour = color;
    const perMs = width / Math.max(1, to - from);
    context.clearRect(0, 0, width, height);
    for (let first = 0; first < this.count; first += TILE) {
      const left = (this.from + first * POINT_MS - from) * perMs;
      const wide = TILE * POINT_MS * perMs;
      if (left < width && left + wide > 0) context.drawImage(this.tile(first), left, 0, wide, height);
    }
  }

  tile(first) {
    const number = first / TILE;
    this.tiles[number] ??= paint(this.points.slice(first, first + TILE), this.colour);
    return this.tiles[number];
  }
}

function paint(points, colour) {
  const canvas = document.createElement("canvas");
  canvas.width = TILE;
  canvas.height = BANDS;
  const context = canvas.getContext("2d");
  context.fillStyle = colour;
  context.fillRect(0, 0, 1, 1);
  const [red, green, blue] = context.getImageData(0, 0, 1, 1).data;
  const image = context.createImageData(TILE, BANDS);
  points.forEach((point, column) => {
    for (let band = 0; band < BANDS; band += 1) {
      image.data.set([red, green, blue, point[band]], 4 * ((BANDS - 1 - band) * TILE + column));
    }
  });
  context.putImageData(image, 0, 0);
  return canvas;
}
