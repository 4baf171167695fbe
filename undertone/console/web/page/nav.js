// The links between pages: those that somebody may open.

// Address, name, and the role that it takes.
const PAGES = [
  ["/", "Now", "watch"],
  ["/worth", "Worth labelling", "label"],
];

/** Fill the page's `nav` for `me`, as `whoLooks` tells it. */
export function fillNav(me) {
  const links = PAGES.filter(([, , role]) => me.may.includes(role)).map(([address, name]) => {
    const link = document.createElement("a");
    link.href = address;
    link.textContent = name;
    if (location.pathname === address) link.ariaCurrent = "page";
    return link;
  });
  document.querySelector("nav").replaceChildren(...links);
}
