// The player's controls: play, place, speed, and a volume for each channel.

import { clockWords } from "./words.js";

const STEP_MS = 5_000;
const $ = (id) => document.getElementById(id);

export class Controls {
  constructor(player) {
    this.player = player;
    this.held = false;
    $("play").addEventListener("click", () => this.toggle());
    $("speed").addEventListener("change", () => player.setRate(Number($("speed").value)));
    $("place").addEventListener("input", () => player.seek(player.offered.from + 1000 * Number($("place").value)));
  }

  toggle() {
    if (this.player.running) this.player.pause();
    else this.player.play();
  }

  /** What a key does here; whether it does anything. */
  key(key) {
    if (key === " ") this.toggle();
    else if (key === "ArrowLeft") this.player.seek(this.player.position - STEP_MS);
    else if (key === "ArrowRight") this.player.seek(this.player.position + STEP_MS);
    else return false;
    return true;
  }

  /** A volume for each channel that can be heard. */
  channels(names) {
    if ($("volumes").dataset.names === names.join()) return;
    $("volumes").dataset.names = names.join();
    $("volumes").replaceChildren(
      ...names.map((name) => {
        const label = document.createElement("label");
        const slider = document.createElement("input");
        Object.assign(slider, { type: "range", min: 0, max: 1, step: 0.05, value: this.player.volumes.get(name) ?? 1 });
        slider.addEventListener("input", () => this.player.setVolume(name, Number(slider.value)));
        label.append(`${name} `, slider);
        return label;
      }),
    );
  }

  /** With each frame. */
  tick() {
    const { player } = this;
    player.tick();
    const at = Math.max(0, player.position - player.offered.from) / 1000;
    const all = (player.offered.to - player.offered.from) / 1000;
    const text = `${clockWords(at)} of ${clockWords(all)}`;
    if ($("time").textContent === text && this.running === player.running) return;
    this.running = player.running;
    $("time").textContent = text;
    $("play").textContent = player.running ? "Pause" : "Play";
    $("place").max = all.toFixed(1);
    $("place").value = at.toFixed(1);
    $("place").setAttribute("aria-valuetext", text);
  }
}
