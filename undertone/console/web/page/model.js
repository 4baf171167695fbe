// The page of models: what runs, what else there is, each one's card, and another champion for who may choose it.

import { fillNav } from "./nav.js";
import { whyNot } from "./player.js";
import { whoLooks } from "./said.js";
import { fillTable, momentWords } from "./table.js";

const $ = (id) => document.getElementById(id);
const figure = (value) => (value === undefined ? "" : Number(value.toPrecision(4)).toString());
const me = await whoLooks();
const mayChange = me.may.includes("operate");
let known = null;
// The version whose card somebody asked for; until then it is the champion's.
let shown = "";

function button(text, act, label) {
  const made = document.createElement("button");
  made.type = "button";
  made.textContent = text;
  if (label) made.ariaLabel = label;
  made.addEventListener("click", act);
  return made;
}

/** Ask in a dialog; whether the answer is yes. */
function sure(question) {
  $("question").textContent = question;
  $("sure").returnValue = "no";
  $("sure").showModal();
  return new Promise((resolve) => $("sure").addEventListener("close", () => resolve($("sure").returnValue === "yes"), { once: true }));
}

async function change(how, version, question) {
  if (!(await sure(question))) return;
  $("state").textContent = "asking Kafka";
  let text = "the console does not answer";
  try {
    const answer = await fetch(`/api/models/${how}`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ champion: known.running, ...(version ? { version } : {}) }),
    });
    text = answer.ok ? "" : (await answer.text()).trim();
  } catch {
    // As it stands.
  }
  await ask();
  $("trouble").textContent = text;
}

function reportLink(version) {
  const link = document.createElement("a");
  link.href = `/api/models/report/${encodeURIComponent(version)}`;
  link.textContent = "how it was trained, and how it was compared";
  return link;
}

const WORDS = { uar: "UAR", ece: "ECE", heldout: "held out:", us: "\u00B5s", db: "dB" };
const figureWords = (name) => name.split("_").map((word) => WORDS[word] ?? word).join(" ");

function cardRows({ card, fault, version, report }) {
  const rows = fault ? [["cannot be used", fault]] : [];
  if (report && me.may.includes("label")) rows.push(["report", reportLink(version)]);
  if (!card) return rows;
  rows.push(
    ["created", momentWords(card.created)],
    ["emotions", card.labels.join(", ")],
    ["trained on", card.trained.join("; ") || "not stated"],
    ["lineage", card.lineage || "not stated"],
    ["licence", card.licence || "not stated"],
    ["meant for", card.use || "not stated"],
    ["limits", card.limits || "not stated"],
    ["network", `${card.parameters.toLocaleString("en")} parameters, ${card.arithmetic}, ${Math.round(card.bytes / 1024)} KB`],
    ["uncertain below", String(card.uncertain)],
  );
  const champion = known.models.find((one) => one.version === known.running)?.card?.metrics ?? {};
  for (const [name, value] of Object.entries(card.metrics)) {
    const apart = version === known.running || champion[name] === undefined ? "" : `, the champion's ${figure(champion[name])}`;
    rows.push([figureWords(name), `${figure(value)}${apart}`]);
  }
  return rows;
}

function show() {
  const { running, previous, named, models, changes } = known;
  if (!models.some((one) => one.version === shown)) shown = "";
  $("running").textContent = `Workers run ${running}${named ? ", the champion" : ""}.`;
  $("acts").replaceChildren(
    ...(mayChange && previous ? [button(`Roll back to ${previous}`, () => change("rollback", null, `Roll back from ${running} to ${previous}?`))] : []),
  );
  $("choose").hidden = !mayChange;
  fillTable(
    $("models"),
    models.map((one) => [
      button(one.version, () => {
        shown = one.version;
        showCard();
      }, `Show the card of ${one.version}`),
      [...one.aliases, ...(one.version === running && !one.aliases.includes("champion") ? ["running"] : [])].join(", "),
      one.published ? momentWords(one.published) : "ships",
      figure(one.card?.metrics.heldout_uar),
      figure(one.card?.metrics.heldout_ece),
      ...(mayChange
        ? [one.version === running && named ? "" : one.fault ? "cannot be used" : button("Promote", () => change("promote", one.version, `Make ${one.version} the champion in place of ${running}?`), `Promote ${one.version}`)]
        : []),
    ]),
    ["", "It is", "Published", "UAR", "ECE", ""],
  );
  $("unnamed").hidden = changes.length > 0;
  fillTable($("changes"), changes.map((one) => [momentWords(one.at), one.version, `by ${one.by}`, one.how]));
  showCard();
}

function showCard() {
  const version = shown || known.running;
  $("which").textContent = version;
  fillTable($("card"), cardRows(known.models.find((one) => one.version === version)));
}

async function ask() {
  let state = "the console does not answer";
  try {
    const answer = await fetch("/api/models");
    if (answer.status === 401) location.assign("/login?next=/model");
    state = answer.ok ? "" : answer.status === 503 ? (await answer.text()).trim() : whyNot(answer.status);
    if (answer.ok) {
      known = await answer.json();
      state = `${known.models.length} ${known.models.length === 1 ? "model" : "models"}`;
      show();
    }
  } catch {
    // As it stands.
  }
  $("state").textContent = state;
}

fillNav(me);
await ask();
setInterval(() => document.hidden || $("sure").open || ask(), 15_000);
