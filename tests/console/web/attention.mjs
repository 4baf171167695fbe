// Weighs calls: reads [{events, clock}] as JSON from standard input, prints [[reasons, score]].

import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const page = pathToFileURL(`${process.argv[2]}/`);
const { Calls } = await import(new URL("calls.js", page));
const { weigh } = await import(new URL("attention.js", page));

const found = JSON.parse(readFileSync(0, "utf8")).map(({ events, clock }) => {
  const calls = new Calls();
  calls.take(events);
  const [call] = calls.byId.values();
  weigh(call, clock);
  return [call.reasons, call.score];
});
console.log(JSON.stringify(found));
