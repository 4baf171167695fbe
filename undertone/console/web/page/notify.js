// Tells of alerts by the browser's own notifications, where somebody has asked for them and as long as the page is open.

/** A button that asks for them; hidden where the browser has none, or has been asked already. */
export class Notifier {
  constructor(button) {
    this.button = button;
    this.known = null;
    button.addEventListener("click", async () => {
      await Notification.requestPermission();
      this.show();
    });
    this.show();
  }

  show() {
    this.button.hidden = typeof Notification === "undefined" || Notification.permission !== "default";
  }

  /** All alerts that there are, the newest first: those that have come since the last time are told. */
  take(alerts) {
    const fresh = this.known ? alerts.filter(({ id }) => !this.known.has(id)) : [];
    this.known = new Set(alerts.map(({ id }) => id));
    if (typeof Notification === "undefined" || Notification.permission !== "granted") return;
    for (const one of fresh.slice(0, 3).reverse()) {
      const told = new Notification(one.rule, { body: `${one.call_id}: ${one.reason}`, tag: one.id });
      told.onclick = () => location.assign(`/calls/${encodeURIComponent(one.call_id)}`);
    }
  }
}
