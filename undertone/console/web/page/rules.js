// The page of rules: what they ask for, which are met now, and the alerts that came of them.

import { follow } from "./feed.js";
import { fillNav } from "./nav.js";
import { Notifier } from "./notify.js";
import { whyNot } from "./player.js";
import { whoLooks } from "./said.js";
import { callLink, fillTable, momentWords } from "./table.js";

const WORDS = { none: "", waiting: "waits", sent: "taken", "given up": "given up" };
const $ = (id) => document.getElementById(id);
const notifier = new Notifier($("notify"));
let met = [];
let known = null;
let asking = false;

function show() {
  if (!known) return;
  const count = (name) => met.filter((one) => one.rule === name).length;
  const rules = known.rules.map(({ name, words, webhook }) => [name, count(name) || "no", words, webhook ? "yes" : "none"]);
  fillTable($("rules"), rules, ["Rule", "Met now", "Asks for", "Webhook"]);
  const alerts = known.alerts.map((one) => [
    momentWords(one.at),
    callLink(one.call_id),
    one.rule,
    `${one.reason}${one.channel ? ` (${one.channel})` : ""}`,
    `${WORDS[one.state] ?? one.state}${one.state === "sent" || !one.answer ? "" : `: ${one.answer}`}`,
  ]);
  fillTable($("alerts"), alerts, ["Time", "Call", "Rule", "Why", "Webhook"]);
  $("none").hidden = rules.length > 0;
  $("quiet").hidden = alerts.length > 0;
}

async function ask() {
  if (asking) return;
  asking = true;
  try {
    const answer = await fetch("/api/rules");
    if (answer.status === 401) location.assign("/login?next=/rules");
    if (!answer.ok) $("trouble").textContent = whyNot(answer.status);
    if (answer.ok) {
      const before = known?.alerts[0]?.id;
      known = await answer.json();
      $("trouble").textContent = known.away ? `Nothing is looked at now: ${known.away}` : "";
      const [newest] = known.alerts;
      if (before && newest && newest.id !== before) $("spoken").textContent = `${newest.rule}: ${newest.call_id}, ${newest.reason}`;
      notifier.take(known.alerts);
      show();
    }
  } catch {
    // The console is away; the state says so.
  }
  asking = false;
}

// Events of no call: what is met, and that the console is there.
follow("call=.", {
  events: () => {},
  anew: () => {},
  alerts: (found) => {
    met = found;
    ask();
  },
  state: (text, kind) => {
    $("state").className = kind;
    $("state").textContent = text;
    ask();
  },
});
whoLooks().then(fillNav);
