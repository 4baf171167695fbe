// The page of past calls: a search, whose question stands in the address.

import { fillNav } from "./nav.js";
import { whyNot } from "./player.js";
import { whoLooks } from "./said.js";
import { callLink, fillTable, momentWords } from "./table.js";
import { clockWords } from "./words.js";

const $ = (id) => document.getElementById(id);
const FIELDS = ["call", "since", "until", "emotion", "seconds"];
const given = new URLSearchParams(location.search);

for (const name of FIELDS) {
  const value = given.get(name);
  if (!value) continue;
  if (name === "emotion") $(name).append(new Option(value));
  $(name).value = value;
}

/** What people chose, as the console wants it: moments are of this machine's time zone. */
function asked() {
  const query = new URLSearchParams();
  for (const name of FIELDS) {
    const { value } = $(name);
    if (value) query.set(name, name === "since" || name === "until" ? String(new Date(value).getTime()) : value.trim());
  }
  return query;
}

function offer(emotions) {
  const there = new Set([...$("emotion").options].map((option) => option.value));
  for (const name of emotions) if (!there.has(name)) $("emotion").append(new Option(name));
}

const speechWords = (speech) => speech.map(([name, seconds]) => `${name} ${seconds.toFixed(0)} s`).join(", ");

async function ask() {
  let state = "the console does not answer";
  try {
    const answer = await fetch(`/api/history?${asked()}`);
    if (answer.status === 401) location.assign("/login?next=/history");
    if (answer.ok) {
      const { away, calls, emotions, known, whole, most } = await answer.json();
      offer(emotions);
      $("trouble").textContent = away ? `Nothing new is read now: ${away}` : "";
      fillTable(
        $("calls"),
        calls.map((one) => [
          one.over ? momentWords(one.last) : "goes on",
          callLink(one.call),
          clockWords((one.last - one.first) / 1000),
          speechWords(one.speech) || "no speech",
        ]),
        ["Ended", "", "Length", "Speech"],
      );
      $("none").hidden = calls.length > 0;
      $("none").textContent = known ? "No call fits. Ask for less: a shorter beginning, a longer time, fewer seconds." : "No call is known yet: past calls come here as they are heard, as far back as emotion-events reaches.";
      const more = calls.length === most ? `the newest ${most}` : `${calls.length}`;
      $("counts").textContent = `${more} of ${known} calls${whole ? "" : "; older ones are still being read"}`;
      state = calls.length ? `${calls.length} ${calls.length === 1 ? "call" : "calls"}` : "no such call";
    } else state = answer.status === 400 ? (await answer.text()).trim() : whyNot(answer.status);
  } catch {
    // As it stands.
  }
  $("state").textContent = state;
}

$("filters").addEventListener("submit", (event) => {
  event.preventDefault();
  const now = new URLSearchParams();
  for (const name of FIELDS) if ($(name).value) now.set(name, $(name).value);
  history.replaceState(null, "", now.size ? `?${now}` : location.pathname);
  ask();
});
whoLooks().then(fillNav);
ask();
