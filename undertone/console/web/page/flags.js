// Moments of a call on a lane of its timeline, each with its words.

/** Put the flags of one kind on a lane, where they have changed; `flags` are [{ where, text }], `where` 0 to 1. */
export function plant(lane, kind, flags) {
  const told = flags.map(({ where, text }) => `${where.toFixed(4)} ${text}`).join("\n");
  if (lane.dataset[kind] === told) return;
  lane.dataset[kind] = told;
  for (const flag of lane.querySelectorAll(`.flag.${kind}`)) flag.remove();
  for (const { where, text } of flags) {
    if (!(where >= 0 && where <= 1)) continue;
    const flag = document.createElement("div");
    flag.className = where > 0.5 ? `flag ${kind} left` : `flag ${kind}`;
    flag.style.left = `${100 * where}%`;
    flag.textContent = text;
    lane.append(flag);
  }
}
