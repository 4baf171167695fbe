// What people say of utterances: sent to the console, and shown as sent once Kafka has it.

export class Said {
  /** `changed()` is called when there is something else to show; `told(text)` gets it in words. */
  constructor({ emotions, name }, changed, told) {
    this.emotions = emotions;
    this.me = name;
    this.changed = changed;
    this.told = told;
    this.known = new Map();
  }

  /** Which key says what. */
  get digits() {
    return this.emotions.slice(0, 9).map((name, index) => `${index + 1} ${name}`).join(", ");
  }

  /** What was said of a call before this page was opened, by anybody. */
  async remember(call) {
    try {
      const answer = await fetch(`/api/labels?${new URLSearchParams({ call })}`);
      if (!answer.ok) return;
      for (const [place, { emotion, by, others }] of Object.entries(await answer.json())) {
        const state = by === this.me ? "sent" : "told";
        if (!this.known.has(place)) this.known.set(place, { state, emotion, by, others: others ?? [] });
      }
      this.changed();
    } catch {
      // The console is away; the page says so by itself.
    }
  }

  of(span) {
    return this.known.get(span.place);
  }

  say(span, emotion) {
    if (this.of(span)?.state === "sending") return;
    const before = this.of(span);
    const others = before?.state === "told" ? [{ emotion: before.emotion, by: before.by }, ...before.others] : (before?.others ?? []);
    this.send(span, { ...target(span), emotion }, (by) => ({ state: "sent", emotion, by, others }));
  }

  takeBack(span) {
    const one = this.of(span);
    if (one?.state !== "sent") return;
    this.send(span, { ...target(span), emotion: one.emotion, withdrawn: true }, () => this.without(one));
  }

  /** What the others say, once one's own word is taken back. */
  without({ others }) {
    const [first, ...rest] = others ?? [];
    return first ? { state: "told", ...first, others: rest } : null;
  }

  async send(span, label, then) {
    const before = this.of(span);
    this.set(span, { state: "sending", emotion: label.emotion });
    try {
      const headers = { "Content-Type": "application/json" };
      const answer = await fetch("/api/labels", { method: "POST", headers, body: JSON.stringify(label) });
      if (!answer.ok) throw new Error((await answer.text()).trim());
      this.set(span, then((await answer.json()).by));
      this.told(label.withdrawn ? `${label.emotion} taken back` : `sent: ${label.emotion}`);
    } catch (error) {
      const why = error instanceof TypeError ? "the console does not answer" : error.message;
      this.set(span, label.withdrawn ? before : { state: "failed", why });
      this.told(`not ${label.withdrawn ? "taken back" : "sent"}: ${why}`);
    }
  }

  set(span, one) {
    if (one) this.known.set(span.place, one);
    else this.known.delete(span.place);
    this.changed();
  }
}

const target = (span) => (span.stretch ? { stretch: span.stretch } : { place: span.place });

/** Who looks: `{ name, may: [...], emotions: [...] }`; of a console that does not answer, somebody who may watch. */
export async function whoLooks() {
  try {
    const answer = await fetch("/api/me");
    if (answer.ok) return await answer.json();
  } catch {
    // As above.
  }
  return { name: "", may: ["watch"], emotions: [] };
}
