// The page "Try it": what somebody says, and what is made of it as it comes.

import { Calls } from "./calls.js";
import { follow } from "./feed.js";
import { Microphone } from "./microphone.js";
import { fillNav } from "./nav.js";
import { fillLegend } from "./palette.js";
import { whoLooks } from "./said.js";
import { drawLanes, drawSample, fit, theme } from "./timeline.js";
import { labelWords, percent } from "./words.js";

const SHOWN_MS = 30_000;
// The meter falls by so much with each frame.
const FALLS = 0.9;
const WHY = {
  NotAllowedError: "the browser, or somebody who was asked, does not give the microphone",
  NotFoundError: "there is no microphone",
};
const $ = (id) => document.getElementById(id);
const me = await whoLooks();
fillNav(me);
const mayTry = me.may.includes("label");
let microphone = null;
let clock = null;
let calls = new Calls(true);
let id = "";
let told = -1;
let drawn = "";
let legend = 0;
let level = 0;
let delays = [];

function say(state, kind = "") {
  $("state").textContent = state;
  $("state").className = kind;
}

/** Hear a microphone, or a recording. */
async function begin(file) {
  if (microphone || !mayTry) return;
  $("trouble").textContent = "";
  say("beginning");
  const mine = (microphone = new Microphone({ started, level: (now) => (level = Math.max(level, now)), ended }));
  buttons();
  try {
    await (file ? mine.play(file) : mine.speak());
  } catch (error) {
    mine.end(WHY[error.name] ?? error.message);
  }
}

function started(call) {
  leave();
  id = call;
  $("heard").hidden = false;
  $("label").textContent = "nothing yet";
  say("listening", "live");
  clock = follow(new URLSearchParams({ call }).toString(), {
    events: take,
    anew: () => calls.clear(),
    state: (text, kind) => kind === "away" && say(text, kind),
  });
}

/** Show nothing of what was before. */
function leave() {
  clock?.stop();
  id = "";
  calls = new Calls(true);
  told = -1;
  delays = [];
  $("heard").hidden = $("after").hidden = true;
  $("forget").hidden = $("whole").hidden = false;
  $("forgotten").textContent = $("delay").textContent = "";
  show([]);
}

function ended(why) {
  microphone = null;
  $("trouble").textContent = why;
  $("file").value = "";
  say("not listening");
  $("after").hidden = !id;
  $("whole").href = `/calls/${id}`;
  buttons();
}

function buttons() {
  $("speak").disabled = $("file").disabled = Boolean(microphone) || !mayTry;
  $("stop").disabled = !microphone;
}

function take(events) {
  calls.take(events);
  const newest = events.findLast((event) => event.type === "update");
  if (!newest || !microphone) return;
  delays = [...delays.slice(-19), microphone.ago(newest.end)];
  const middle = delays.toSorted((a, b) => a - b)[delays.length >> 1];
  $("delay").textContent = `From sound to emotion: ${middle.toFixed(2)} s`;
}

function tell(stream) {
  const event = stream.summary ?? stream.newest;
  const [label, detail] = labelWords(event);
  const text = `${stream.summary ? "All in all " : ""}${label} ${detail}`;
  // Who listens to the page hears an emotion when it changes, and not every percent.
  const spoken = stream.summary ? text : label;
  if ($("spoken").textContent !== spoken) $("spoken").textContent = spoken;
  $("label").textContent = text;
  show(event.top);
}

/** A bar for each of the most probable emotions. */
function show(top) {
  $("top").replaceChildren(
    ...top.map(([name, probability]) => {
      const item = document.createElement("li");
      const words = document.createElement("span");
      const meter = document.createElement("meter");
      words.textContent = `${name} ${percent(probability)}`;
      meter.value = probability;
      meter.ariaLabel = name;
      item.append(words, meter);
      return item;
    }),
  );
}

async function forget() {
  $("forget").disabled = true;
  $("forgotten").textContent = "asking Kafka";
  try {
    const answer = await fetch(`/api/try/${id}`, { method: "DELETE" });
    if (!answer.ok) throw new Error((await answer.text()).trim());
    const times = Object.values(await answer.json());
    const until = times.includes(null) ? "" : `, ${new Date(times.sort().at(-1)).toLocaleString()} at the latest`;
    leave();
    $("after").hidden = false;
    $("forget").hidden = $("whole").hidden = true;
    $("forgotten").textContent = `Forgotten. Kafka deletes the sound when its time is up${until}.`;
  } catch (error) {
    $("forgotten").textContent = error instanceof TypeError ? "the console does not answer" : error.message;
  }
  $("forget").disabled = false;
}

function frame() {
  $("level").value = level;
  level *= FALLS;
  const call = calls.byId.get(id);
  const stream = call && [...call.streams.values()][0];
  if (stream) {
    if (told !== call.changed) {
      told = call.changed;
      tell(stream);
    }
    const now = call.now(clock());
    const key = `${told} ${Math.floor(now / 50)} ${innerWidth} ${theme()}`;
    if (key !== drawn) {
      drawn = key;
      drawLanes($("lane"), [stream], now - SHOWN_MS, now, fit($("lane")));
    }
    if (calls.labels.size !== legend) {
      legend = calls.labels.size;
      fillLegend($("legend"), calls.labels, drawSample);
    }
  }
  requestAnimationFrame(frame);
}

$("speak").addEventListener("click", () => begin());
$("stop").addEventListener("click", () => microphone?.stop());
$("forget").addEventListener("click", forget);
$("file").addEventListener("change", () => $("file").files.length && begin($("file").files[0]));
addEventListener("dragover", (event) => {
  event.preventDefault();
  $("controls").classList.add("over");
});
addEventListener("dragleave", (event) => event.relatedTarget || $("controls").classList.remove("over"));
addEventListener("drop", (event) => {
  event.preventDefault();
  $("controls").classList.remove("over");
  if (event.dataTransfer.files.length) begin(event.dataTransfer.files[0]);
});
addEventListener("keydown", (event) => {
  if (event.key !== " " || event.ctrlKey || ["BUTTON", "A", "INPUT"].includes(document.activeElement.tagName)) return;
  event.preventDefault();
  if (microphone) microphone.stop();
  else begin();
});
if (!mayTry) $("trouble").textContent = "your token is not for this: it needs the role label";
buttons();
requestAnimationFrame(frame);
