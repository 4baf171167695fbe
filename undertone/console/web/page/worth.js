// The page of what is worth labelling: utterances of many calls, each played by itself.

import { fillNav } from "./nav.js";
import { Player, whyNot } from "./player.js";
import { Said, whoLooks } from "./said.js";
import { Utterances } from "./utterances.js";

// Heard before and after it.
const BEFORE_MS = 500;
const AFTER_MS = 300;
const $ = (id) => document.getElementById(id);
const me = await whoLooks();
fillNav(me);
const player = new Player((text) => ($("trouble").textContent = text));
const said = new Said(me, () => utterances.show(utterances.order), (text) => ($("spoken").textContent = text));
const utterances = new Utterances($("events"), said, {
  play,
  where: (span) => `${span.call} ${span.channel}`,
  extra: (span) => span.why.join(", "),
  address: (span) => `/calls/${encodeURIComponent(span.call)}`,
});

function play(span) {
  player.pause();
  player.offer(span.call, [span.channel], Math.round(span.from) - BEFORE_MS, span.to + AFTER_MS);
  player.play(player.offered.from);
}

async function ask() {
  let state = "the console does not answer";
  try {
    const answer = await fetch("/api/worth");
    if (answer.status === 401) location.assign("/login?next=/worth");
    if (answer.ok) {
      const found = await answer.json();
      utterances.show(found.map(({ event, why }) => ({ ...event, why, from: event.at - 1000 * (event.end - event.start), to: event.at })));
      $("none").hidden = found.length > 0;
      state = found.length ? `${found.length} utterances` : "nothing to label by now";
    } else state = whyNot(answer.status);
  } catch {
    // As it stands.
  }
  $("state").textContent = state;
}

addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const { tagName } = document.activeElement;
  if (tagName === "SELECT" || (["BUTTON", "A"].includes(tagName) && [" ", "Enter"].includes(event.key))) return;
  const { span } = utterances;
  if (event.key === " ") player.running ? player.pause() : span && play(span);
  else if (!utterances.key(event.key)) return;
  event.preventDefault();
  if (span && said.of(span)?.state === "sending" && /[1-9]/.test(event.key)) utterances.step(1);
});

function frame() {
  player.tick();
  requestAnimationFrame(frame);
}

$("digits").textContent = said.digits;
$("keys").hidden = !said.digits;
$("again").addEventListener("click", ask);
ask();
requestAnimationFrame(frame);
