// The events as they come: an EventSource, and what is done when it falls silent.

// The server says something every five seconds. After three times that nothing comes through any more.
const SILENT_MS = 16_000;
const AGAIN_MS = 1_500;

/**
 * Follow the console's events. `on.events(array)`, `on.anew()` before what came so far counts no more,
 * `on.alerts(array)` where somebody wants to know which rules are met now, and `on.state(text, kind)` for people.
 * Returns the server's clock as a function, in ms, whose `stop` ends the following.
 */
export function follow(query, on) {
  let source = null;
  let last = "";
  let heard = performance.now();
  let offset = Date.now() - performance.now();
  let known = false;

  function open() {
    const parameters = new URLSearchParams(query);
    if (last) parameters.set("after", last);
    source?.close();
    source = new EventSource(`/api/events?${parameters}`);
    heard = performance.now();
    source.addEventListener("tick", (message) => {
      heard = performance.now();
      const { now, away } = JSON.parse(message.data);
      const fresh = now - heard;
      // Ticks are late by what the network takes: a clock that runs steadily is worth more than the newest one.
      offset = known && Math.abs(fresh - offset) < 1000 ? offset + 0.1 * (fresh - offset) : fresh;
      known = true;
      on.state(away ? `Kafka does not answer: ${away}` : "live", away ? "away" : "live");
    });
    source.addEventListener("anew", () => {
      last = "";
      on.anew();
    });
    source.addEventListener("alerts", (message) => on.alerts?.(JSON.parse(message.data)));
    source.addEventListener("events", (message) => {
      heard = performance.now();
      if (message.lastEventId) last = message.lastEventId;
      on.events(JSON.parse(message.data));
    });
    source.addEventListener("error", () => {
      on.state("the console does not answer, trying again", "away");
      if (source.readyState === EventSource.CLOSED) askWhy();
    });
  }

  // An answer other than 200 ends an EventSource for good; 401 means that the session is over.
  async function askWhy() {
    try {
      const answer = await fetch("/api/events?after=x", { method: "HEAD" });
      if (answer.status === 401) location.assign("/login");
    } catch {
      // The console is away: the next look tries again.
    }
  }

  const look = setInterval(() => {
    const closed = source.readyState === EventSource.CLOSED;
    if (performance.now() - heard > (closed ? AGAIN_MS : SILENT_MS)) open();
  }, AGAIN_MS);
  addEventListener("online", open);
  open();
  const clock = () => performance.now() + offset;
  clock.stop = () => {
    clearInterval(look);
    removeEventListener("online", open);
    source.close();
  };
  return clock;
}
