// Moments of a call that somebody has named. They stand in the address, and so in a link to the call.

import { plant } from "./flags.js";
import { clockWords } from "./words.js";

const MOST = 50;
const LONGEST = 60;
// A marker in the address: seconds from the call's start, and what it is called.
const WRITTEN = /^(\d{1,6}(?:\.\d)?) (.{1,60})$/;
const $ = (id) => document.getElementById(id);

export class Markers {
  /** `on.seek(second)` goes there, `on.place()` is the second that a new marker is set at. */
  constructor(on) {
    this.on = on;
    this.at = 0;
    this.list = [];
    for (const text of new URLSearchParams(location.search).getAll("m").slice(0, MOST)) {
      const [, second, name] = WRITTEN.exec(text) ?? [];
      if (name) this.list.push({ second: Number(second), name });
    }
    $("mark").addEventListener("click", () => this.ask());
    $("naming").addEventListener("submit", (event) => {
      event.preventDefault();
      this.set($("called").value.trim());
    });
    $("naming").addEventListener("keydown", (event) => event.key === "Escape" && this.close());
    this.show();
  }

  /** Ask what the moment that plays is to be called. */
  ask() {
    this.at = Math.round(10 * this.on.place()) / 10;
    $("naming").hidden = false;
    $("moment").textContent = clockWords(this.at);
    $("called").value = "";
    $("called").focus();
  }

  close() {
    $("naming").hidden = true;
    $("mark").focus();
  }

  set(name) {
    this.close();
    if (!name || this.list.length >= MOST) return;
    this.list.push({ second: this.at, name: name.slice(0, LONGEST) });
    this.write();
    $("spoken").textContent = `${name} marked at ${clockWords(this.at)}; the address has it`;
  }

  remove(marker) {
    this.list = this.list.filter((one) => one !== marker);
    this.write();
    $("mark").focus();
  }

  write() {
    const parameters = new URLSearchParams(location.search);
    parameters.delete("m");
    for (const { second, name } of this.list) parameters.append("m", `${second} ${name}`);
    history.replaceState(null, "", parameters.size ? `?${parameters}` : location.pathname);
    this.show();
  }

  show() {
    this.list.sort((a, b) => a.second - b.second);
    $("markers").replaceChildren(
      ...this.list.map((marker) => {
        const item = document.createElement("li");
        const go = button(`${clockWords(marker.second)} ${marker.name}`, () => this.on.seek(marker.second));
        const remove = button("\u00D7", () => this.remove(marker));
        remove.ariaLabel = `Remove ${marker.name}`;
        item.append(go, remove);
        return item;
      }),
    );
  }

  /** Put them on a lane; `place(second)` is where one belongs, 0 to 1. */
  draw(lane, place) {
    plant(lane, "marker", this.list.map(({ second, name }) => ({ where: place(second), text: name })));
  }
}

function button(text, act) {
  const made = document.createElement("button");
  made.type = "button";
  made.textContent = text;
  made.addEventListener("click", act);
  return made;
}
