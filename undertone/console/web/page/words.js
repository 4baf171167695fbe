// What is said of a span in words.

export const percent = (probability) => `${Math.round(100 * probability)} %`;

/** Emotions with their probabilities; those that would be 0 % are left out. */
export const besideWords = (top) =>
  top.filter(([, probability]) => probability >= 0.005).map(([name, probability]) => `${name} ${percent(probability)}`).join(", ");

/** The newest label with its probability; where the model is uncertain, what it holds most likely. */
export function labelWords(span) {
  const [name, probability] = span.top[0] ?? ["", 0];
  if (!name) return [span.label, ""];
  if (span.label === "uncertain") return ["uncertain", `${name}? ${percent(probability)}`];
  return [span.label, percent(probability)];
}

/** How a span stands to the speaker's own normal, where that is worth a word; in standard deviations. */
export function normalWords(span) {
  const found = [];
  for (const [name, more, less] of [["level", "louder", "quieter"], ["pitch", "higher", "lower"], ["arousal", "more stirred", "calmer"]]) {
    const value = span.relative?.[name] ?? 0;
    if (Math.abs(value) >= 1.5) found.push([Math.abs(value), `${value > 0 ? more : less} than usual`]);
  }
  return found.sort((a, b) => b[0] - a[0])[0]?.[1] ?? "";
}

/** Seconds of a call as m:ss.s */
export function clockWords(seconds) {
  const whole = Math.floor(seconds / 60);
  return `${whole}:${(seconds - 60 * whole).toFixed(1).padStart(4, "0")}`;
}
