// Where a call has met the console's rules: a flag on its timelines, and a list that leads there.

import { plant } from "./flags.js";
import { clockWords } from "./words.js";

const $ = (id) => document.getElementById(id);

export class Alerts {
  /** `seek(moment)` goes to a moment of the call, ms. */
  constructor(call, seek) {
    this.call = call;
    this.seek = seek;
    this.list = [];
    this.told = "";
    this.asking = false;
  }

  /** Ask the console what there is by now. */
  async ask() {
    if (this.asking) return;
    this.asking = true;
    try {
      const answer = await fetch(`/api/rules?${new URLSearchParams({ call: this.call })}`);
      if (answer.ok) this.list = (await answer.json()).alerts.toSorted((a, b) => a.at - b.at);
    } catch {
      // The console is away; the page says so by itself.
    }
    this.asking = false;
  }

  /** Put those of a channel, and those of the whole call, on its lane; `place(moment)` is where one belongs, 0 to 1. */
  draw(lane, channel, place) {
    const mine = this.list.filter((one) => !one.channel || one.channel === channel);
    plant(lane, "alert", mine.map(({ at, rule }) => ({ where: place(at), text: `\u25B2 ${rule}` })));
  }

  /** The list; `origin` is where the call begins, ms. */
  show(origin) {
    const told = `${origin} ${this.list.map(({ id }) => id)}`;
    if (this.told === told) return;
    this.told = told;
    $("alerts").replaceChildren(
      ...this.list.map((one) => {
        const item = document.createElement("li");
        const words = `${clockWords(Math.max(0, one.at - origin) / 1000)} ${one.rule}: ${one.reason}${one.channel ? ` (${one.channel})` : ""}`;
        const go = document.createElement(this.seek ? "button" : "span");
        go.textContent = `\u25B2 ${words}`;
        if (this.seek) {
          go.type = "button";
          go.addEventListener("click", () => this.seek(one.at));
        }
        item.append(go);
        return item;
      }),
    );
  }
}
