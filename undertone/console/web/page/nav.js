// The links between pages: those that somebody may open.

// Address, name, and the role that it takes.
const PAGES = [
  ["/", "Now", "watch"],
  ["/history", "History", "watch"],
  ["/model", "Model", "watch"],
  ["/figures", "Figures", "watch"],
  ["/rules", "Rules", "watch"],
  ["/worth", "Worth labelling", "label"],
  ["/try", "Try it", "label"],
];

/** Fill the page's `nav` for `me`, as `whoLooks` tells it. */
export function fillNav(me) {
  const there = ([address, , role]) => me.may.includes(role) && (address !== "/try" || me.microphones);
  const links = PAGES.filter(there).map(([address, name]) => {
    const link = document.createElement("a");
    link.href = address;
    link.textContent = name;
    if (location.pathname === address) link.ariaCurrent = "page";
    return link;
  });
  document.querySelector("nav").replaceChildren(...links);
}
