// Plays the channels of a call together, each as a file of its own between two moments on the call's clock.

// How far channels may drift from the first one, seconds: less is not heard.
const APART_S = 0.08;
// Of a call that goes on so much more has to be there before it is asked for.
const MORE_MS = 1_000;
const WHY = {
  401: "log in first",
  403: "your token is not for listening",
  404: "the console does not remember where the sound of this call is",
  410: "Kafka does not hold the sound of this call any more",
};

export const whyNot = (status) => WHY[status] ?? "Kafka does not answer";

export class Player {
  /** `told(text)` gets why nothing can be heard; an empty text when it can. */
  constructor(told) {
    this.told = told;
    this.sounds = new Map();
    this.volumes = new Map();
    this.rate = 1;
    this.offered = { call: "", channels: [], from: 0, to: 0 };
    this.loaded = { call: "", channels: [], from: 0, to: 0 };
    this.at = 0;
    this.until = Infinity;
    this.running = false;
  }

  /** What can be heard: channels of a call, between two moments. */
  offer(call, channels, from, to) {
    this.offered = { call, channels: [...channels], from, to };
    if (!this.at) this.at = from;
  }

  get first() {
    return this.sounds.values().next().value;
  }

  /** The moment that is heard, ms on the call's clock. */
  get position() {
    return this.running && this.first.readyState ? this.loaded.from + 1000 * this.first.currentTime : this.at;
  }

  play(at = this.position, until = Infinity) {
    const { offered } = this;
    if (!offered.channels.length) return;
    // At the end it begins anew, as players do.
    this.at = at >= offered.to - 50 ? offered.from : Math.max(at, offered.from);
    this.until = until;
    if (this.outdated()) this.load();
    this.running = true;
    for (const sound of this.sounds.values()) {
      sound.currentTime = (this.at - this.loaded.from) / 1000;
      sound.playbackRate = this.rate;
      sound.play().catch((error) => error.name === "AbortError" || this.fail(sound));
    }
  }

  pause() {
    this.at = this.position;
    this.running = false;
    for (const sound of this.sounds.values()) sound.pause();
  }

  seek(at) {
    const goes = this.running;
    const { from, to } = this.offered;
    this.pause();
    this.at = Math.max(from, Math.min(to, at));
    if (goes) this.play(this.at);
  }

  setRate(rate) {
    this.rate = rate;
    for (const sound of this.sounds.values()) sound.playbackRate = rate;
  }

  setVolume(channel, volume) {
    this.volumes.set(channel, volume);
    if (this.sounds.has(channel)) this.sounds.get(channel).volume = volume;
  }

  /** Whether what is loaded is another call, or a call that has more by now than is loaded. */
  outdated() {
    const { offered, loaded } = this;
    if (offered.call !== loaded.call || offered.from !== loaded.from) return true;
    if (offered.channels.join() !== loaded.channels.join()) return true;
    return offered.to > loaded.to + MORE_MS && this.at > loaded.to - 2 * MORE_MS;
  }

  load() {
    for (const sound of this.sounds.values()) {
      sound.pause();
      sound.removeAttribute("src");
      sound.load();
    }
    this.sounds.clear();
    this.loaded = this.offered;
    const { call, channels, from, to } = this.loaded;
    for (const channel of channels) {
      const sound = new Audio();
      sound.preload = "auto";
      sound.src = `/api/calls/${encodeURIComponent(call)}/audio/${encodeURIComponent(channel)}.wav?from=${from}&to=${to}`;
      sound.volume = this.volumes.get(channel) ?? 1;
      sound.addEventListener("error", () => this.sounds.get(channel) === sound && this.fail(sound));
      this.sounds.set(channel, sound);
    }
    this.told("");
  }

  async fail(sound) {
    this.pause();
    this.loaded = { call: "", channels: [], from: 0, to: 0 };
    try {
      const answer = await fetch(sound.src, { method: "HEAD" });
      this.told(answer.ok ? "this browser cannot play the sound" : whyNot(answer.status));
    } catch {
      this.told("the console does not answer");
    }
  }

  /** With each frame: keep channels together, stop where it is to stop, go on where a call has gone on. */
  tick() {
    if (!this.running) return;
    const { first } = this;
    for (const sound of this.sounds.values()) {
      const apart = sound.currentTime - first.currentTime;
      if (Math.abs(apart) > APART_S && sound.readyState > 2 && !sound.ended) sound.currentTime = first.currentTime;
    }
    if (this.position >= this.until) this.pause();
    else if (first.ended) {
      this.at = this.loaded.to;
      if (this.offered.to > this.loaded.to + MORE_MS) this.play(this.at, this.until);
      else this.running = false;
    }
  }
}
