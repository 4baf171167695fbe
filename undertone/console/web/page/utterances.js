// A table of utterances, each a row that stays the same while it is there; who may says what each was.

import { besideWords, clockWords, labelWords, normalWords } from "./words.js";

export const keyOf = (span) => `${span.call} ${span.channel} ${span.start}`;

export class Utterances {
  /**
   * `said` is a `Said`, or null for who may only watch; `on.play(span)` plays an utterance; `on.where(span)` says in
   * words whose it is, `on.address(span)` where there is more of it, `on.extra(span)` what stands in the sixth column.
   */
  constructor(body, said, on) {
    this.body = body;
    this.said = said;
    this.on = on;
    this.rows = new Map();
    this.order = [];
    this.chosen = "";
  }

  /** Show these spans; a span whose `open` is set still goes on. */
  show(spans) {
    const before = this.rows;
    this.rows = new Map();
    this.order = spans;
    for (const span of spans) {
      const key = keyOf(span);
      const row = before.get(key) ?? this.make(key);
      before.delete(key);
      this.rows.set(key, row);
      row.span = span;
      this.fill(row);
    }
    for (const row of before.values()) row.line.remove();
    let place = this.body.firstChild;
    for (const { line } of this.rows.values()) {
      if (line === place) place = place.nextSibling;
      else this.body.insertBefore(line, place);
    }
  }

  make(key) {
    const line = document.createElement("tr");
    const cells = Array.from({ length: this.said ? 8 : 6 }, () => line.appendChild(document.createElement("td")));
    cells[0].className = "number";
    // On a phone a row is laid out as a grid, and would be none for who listens to the page.
    line.setAttribute("role", "row");
    for (const cell of cells) cell.setAttribute("role", "cell");
    line.addEventListener("click", () => this.choose(key));
    const row = { line, cells, span: null, texts: "", told: "" };
    if (this.said) {
      const play = button("\u25B6", () => this.on.play(row.span));
      play.ariaLabel = "Play this utterance";
      cells[6].append(play);
    }
    return row;
  }

  fill(row) {
    const { span } = row;
    const [label, detail] = labelWords(span);
    const beside = besideWords(span.top.slice(1));
    const time = `${clockWords(span.start)} - ${span.open ? "now" : clockWords(span.end)}`;
    const extra = this.on.extra ? this.on.extra(span) : normalWords(span);
    const texts = [time, this.on.where(span), label, detail, beside, extra];
    if (row.texts !== texts.join("|")) {
      row.texts = texts.join("|");
      texts.forEach((text, number) => (row.cells[number].textContent = text));
      if (this.on.address) {
        const link = document.createElement("a");
        link.href = this.on.address(span);
        link.textContent = texts[1];
        row.cells[1].replaceChildren(link);
      }
      row.line.className = `${span.open ? "open" : ""}${this.chosen === keyOf(span) ? " chosen" : ""}`;
    }
    if (this.said) this.fillLabel(row);
  }

  /** What was said of it, or buttons to say it. */
  fillLabel(row) {
    const { span, cells } = row;
    const one = span.open ? { state: "open" } : (this.said.of(span) ?? { state: "none" });
    const told = `${one.state} ${one.emotion} ${one.others?.length} ${span.top.map(([name]) => name)} ${this.said.emotions}`;
    if (row.told === told) return;
    row.told = told;
    const cell = cells[7];
    const held = cell.contains(document.activeElement);
    const parts = answers(span, this.said, one);
    cell.replaceChildren(...parts);
    if (held) (cell.querySelector("button") ?? row.line).focus();
  }

  choose(key) {
    if (this.chosen === key || !this.rows.has(key)) return;
    const before = this.rows.get(this.chosen)?.line;
    before?.classList.remove("chosen");
    before?.removeAttribute("aria-current");
    this.chosen = key;
    const { line, span } = this.rows.get(key);
    line.classList.add("chosen");
    line.setAttribute("aria-current", "true");
    line.scrollIntoView({ block: "nearest" });
    this.on.chosen?.(span);
  }

  /** The utterance that keys are about. */
  get span() {
    return this.rows.get(this.chosen)?.span;
  }

  step(by) {
    const place = this.order.findIndex((span) => keyOf(span) === this.chosen);
    const next = place < 0 ? 0 : Math.max(0, Math.min(this.order.length - 1, place + by));
    if (this.order.length) this.choose(keyOf(this.order[next]));
  }

  /** What a key does here; whether it does anything. */
  key(key) {
    const { span } = this;
    if (key === "ArrowDown") this.step(1);
    else if (key === "ArrowUp") this.step(-1);
    else if (!this.said || !span) return false;
    else if (key === "Enter") this.on.play(span);
    else if (key === "u") this.said.takeBack(span);
    else if (/^[1-9]$/.test(key) && this.said.emotions[key - 1] && !span.open) this.said.say(span, this.said.emotions[key - 1]);
    else return false;
    return true;
  }
}

/** What was said of a span, or buttons to say it: for what stands in its `top`, and a list of the rest. */
export function answers(span, said, one) {
  const parts = [];
  if (one.state === "sending") parts.push(`sending ${one.emotion}`);
  if (["sent", "told"].includes(one.state)) parts.push(`\u2713 ${[one, ...one.others].map(({ emotion, by }) => `${emotion}, says ${by}`).join("; ")} `);
  if (one.state === "sent") parts.push(button("Undo", () => said.takeBack(span)));
  if (one.state === "failed") parts.push(`not sent: ${one.why}`);
  if (["none", "told", "failed"].includes(one.state)) parts.push(...choices(span, said));
  return parts;
}

function choices(span, said) {
  const likely = span.top.map(([name]) => name);
  const others = said.emotions.filter((name) => !likely.includes(name));
  const found = likely.map((name) => button(name, () => said.say(span, name)));
  for (const one of found) one.ariaLabel = `It was ${one.textContent}`;
  if (others.length) {
    const select = document.createElement("select");
    select.ariaLabel = "It was something else";
    select.append(new Option("other", ""), ...others.map((name) => new Option(name)));
    select.addEventListener("change", () => select.value && said.say(span, select.value));
    found.push(select);
  }
  return found;
}

function button(text, act) {
  const made = document.createElement("button");
  made.type = "button";
  made.textContent = text;
  made.addEventListener("click", act);
  return made;
}
