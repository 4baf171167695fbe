// What is known of each call, made of its events: spans of speech per channel, on the call's own clock.

const LONG_AGO_MS = 300_000;

export class Stream {
  constructor(channel, role) {
    this.channel = channel;
    this.role = role;
    this.spans = [];
    this.open = null;
    this.newest = null;
    this.summary = null;
  }

  take(event) {
    if (event.type === "summary") {
      this.summary = event;
      this.open = null;
      return;
    }
    this.summary = null;
    const span = { ...event, from: event.at - 1000 * (event.end - event.start), to: event.at };
    this.newest = span;
    if (event.type === "update") {
      this.open = span;
      return;
    }
    this.open = null;
    // After a break the same segment may come again: it takes its own place.
    while (this.spans.length && this.spans.at(-1).start >= event.start) this.spans.pop();
    this.spans.push(span);
  }

  forget(before) {
    let gone = 0;
    while (gone < this.spans.length && this.spans[gone].to < before) gone += 1;
    if (gone) this.spans.splice(0, gone);
  }

  /** Spans in order, the one that is still open last. */
  *all() {
    yield* this.spans;
    if (this.open) yield this.open;
  }
}

export class Call {
  constructor(id) {
    this.id = id;
    this.streams = new Map();
    this.changed = 0;
    this.at = 0;
    this.moment = 0;
    this.ahead = null;
    this.reasons = [];
    this.score = 0;
    this.spokenOf = false;
    this.alerts = [];
  }

  take(event, keep) {
    let stream = this.streams.get(event.channel);
    if (!stream) {
      stream = new Stream(event.channel, event.role);
      // The caller above, whoever spoke first.
      const both = [...this.streams.values(), stream].sort((a, b) => order(a) - order(b) || (a.channel < b.channel ? -1 : 1));
      this.streams = new Map(both.map((one) => [one.channel, one]));
    }
    stream.take(event);
    if (!keep) stream.forget(event.at - LONG_AGO_MS);
    this.at = Math.max(this.at, event.at);
    this.moment = Math.max(this.moment, event.moment);
    // The call's clock against Kafka's. It is smoothed: an event that took longer must not make the picture jump.
    const ahead = event.at - event.moment;
    const apart = this.ahead === null ? Infinity : Math.abs(ahead - this.ahead);
    this.ahead = apart > 3000 ? ahead : this.ahead + 0.1 * (ahead - this.ahead);
    this.changed += 1;
  }

  get over() {
    for (const stream of this.streams.values()) if (!stream.summary) return false;
    return true;
  }

  /** The moment in the call that it is now, ms; it stands still once the call is over. */
  now(clock) {
    return this.over ? this.at : Math.max(this.at, clock + this.ahead);
  }
}

const order = (stream) => (stream.role === "customer" ? 0 : 1);

export class Calls {
  constructor(keep = false) {
    this.keep = keep;
    this.byId = new Map();
    this.labels = new Set();
    this.alerts = new Map();
  }

  /** The rules that are met now, and by which calls. */
  meet(alerts) {
    this.alerts = new Map();
    for (const one of alerts) this.alerts.set(one.call, [...(this.alerts.get(one.call) ?? []), one]);
    for (const call of this.byId.values()) call.alerts = this.alerts.get(call.id) ?? [];
  }

  clear() {
    this.byId.clear();
  }

  take(events) {
    for (const event of events) {
      let call = this.byId.get(event.call);
      if (!call) {
        this.byId.set(event.call, (call = new Call(event.call)));
        call.alerts = this.alerts.get(event.call) ?? [];
      }
      call.take(event, this.keep);
      for (const [name] of event.top) this.labels.add(name);
    }
  }

  /** Drop what has been over, or without an event, for a quarter of an hour. */
  forget(clock) {
    for (const call of this.byId.values()) if (clock - call.moment > 3 * LONG_AGO_MS) this.byId.delete(call.id);
  }
}
