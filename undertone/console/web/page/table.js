// Tables that are filled anew: rows stay where their texts are the same.

/** A link to a call's page. */
export function callLink(id, text = id) {
  const link = document.createElement("a");
  link.href = `/calls/${encodeURIComponent(id)}`;
  link.textContent = text;
  return link;
}

/** A moment on this machine's clock: the time of today, else with its date. */
export function momentWords(ms) {
  const moment = new Date(ms);
  const time = moment.toLocaleTimeString("en-GB");
  return moment.toDateString() === new Date().toDateString() ? time : `${moment.toLocaleDateString("en-CA")} ${time}`;
}

/** Fill a `tbody` with rows of cells, each a text or an element; `heads` name the cells on a phone. */
export function fillTable(body, rows, heads = []) {
  const told = JSON.stringify(rows.map((cells) => cells.map((cell) => cell?.outerHTML ?? cell)));
  if (body.dataset.told === told) return;
  body.dataset.told = told;
  body.replaceChildren(
    ...rows.map((cells) => {
      const line = document.createElement("tr");
      // On a phone a row is laid out as a grid, and would be none for who listens to the page.
      line.setAttribute("role", "row");
      cells.forEach((content, number) => {
        const cell = line.appendChild(document.createElement("td"));
        cell.setAttribute("role", "cell");
        if (heads[number]) cell.dataset.head = heads[number];
        cell.append(content ?? "");
      });
      return line;
    }),
  );
}
