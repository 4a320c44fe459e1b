// @ts-check
// The frame around every view: the server's availability and notifications.

import { html, nothing } from "../vendor/lit-html/lit-html.js";
import { repeat } from "../vendor/lit-html/directives/repeat.js";
import { connection, may, op } from "./api.js";
import { tell } from "./dialogs.js";
import { begin, follow, leave, uploads } from "./uploading.js";
import { button, byId, icon, render } from "./view.js";
import { plural, said, whole } from "./words.js";

const NOTICE_MS = 7000;
const LOOK_MS = { online: 20000, offline: 4000, gateway: 4000 };

const MOST_NOTICES = 3;
let notices = []; // those shown, the oldest first: {text, matters, line}

// A notification at the bottom; `text`: also with templates, as by `said`; `action` is a button in it. With an action
// it stays longer.
/** @param {unknown} text @param {{bad?: boolean, action?: string, onclick?: () => void}} [options] */
export function notice(text, { bad = false, action, onclick } = {}) {
  const remove = () => {
    notices = notices.filter((one) => one !== shown);
    drawNotices();
  };
  let timer;
  const stay = () => clearTimeout(timer);
  const leave = () => {
    stay();
    timer = setTimeout(remove, action || bad ? 2 * NOTICE_MS : NOTICE_MS);
  };
  const act = () => {
    remove();
    onclick();
  };
  const line = html`<div
    class=${`notice ${bad ? "bad" : ""}`}
    @pointerover=${stay}
    @focusin=${stay}
    @pointerout=${leave}
    @focusout=${leave}
  >
    <p>${text}</p>
    ${action ? button(action, { small: true, onclick: act }) : nothing}
    ${button("", { name: "close", small: true, "aria-label": "Close", onclick: remove })}
  </div>`;
  const shown = { text, matters: bad || Boolean(action), line };
  const before = notices.filter((one) => one.text !== text);
  const spare = before.length < MOST_NOTICES ? null : (before.find(({ matters }) => !matters) ?? before[0]);
  notices = [...before.filter((one) => one !== spare), shown];
  drawNotices();
  leave();
}

const drawNotices = () =>
  render(
    repeat(
      notices,
      (one) => one,
      ({ line }) => line,
    ),
    byId("notices"),
  );

export function failed(error) {
  if (error.name !== "AbortError" && error.code !== "unauthorized") notice(error.message, { bad: true });
}

// Reports refused files out of `total`: the first of `refused` at once, all of them on request.
export function sayRefused(refused, total) {
  if (!total) return;
  const title = `${plural(total, "file")} not taken`;
  notice(said`${title}, ${refused[0].name}: ${refused[0].reason}`, {
    bad: true,
    action: total > 1 ? "All of them" : undefined,
    onclick: () =>
      tell(
        total > refused.length ? `${title}, the first ${refused.length}` : title,
        refused.map(({ name, reason }) => ({ name, reasons: [reason] })),
      ),
  });
}

const told = new Set();

// Uploads may end while any page or none is open: the first page that is viewed reports the result.
function tellUploads() {
  if (document.hidden) return;
  uploads()
    .filter(({ id, state }) => state === "finished" && !told.has(id))
    .forEach(async ({ id, album, added, duplicates, refused, refusals, problem }) => {
      told.add(id);
      if (!(await leave(id))) return;
      if (added || duplicates)
        notice(
          said`${plural(added, "photo")} added to ${album}${duplicates ? `, ${whole(duplicates)} already there` : ""}.`,
        );
      sayRefused(refused, refusals);
      if (problem) notice(said`${album}: ${problem}`, { bad: true });
    });
}

// Calls `load` now, and again when the server comes back online.
export function whenOnline(load) {
  document.addEventListener("facewire:server", (/** @type {CustomEvent} */ event) => {
    if (event.detail === "online") load();
  });
  load();
}

function showConnection() {
  const now = connection();
  const status = byId("status");
  if (!status) return;
  status.dataset.state = now === "online" ? "online" : "offline";
  const banner = byId("offline");
  banner.hidden = now === "online";
  if (now === "online") return;
  status.querySelector(".status-text").textContent = "offline";
  const server = document.body.dataset.server;
  const words =
    now === "gateway"
      ? html`<strong>The page has lost its gateway. </strong>Start it again with <code>python web_app.py</code>; nothing
          on the screen is lost.`
      : html`<strong>No server answers at ${server}. </strong>Start it with
          <code>python server_app.py --port ${document.body.dataset.serverPort}</code> - this page goes on by itself
          when it is there.`;
  render(
    html`${icon("unplug")}
      <p>${words}</p>
      ${button("Try now", { small: true, onclick: look })}`,
    banner,
  );
}

let timer;

async function look() {
  clearTimeout(timer);
  try {
    if (may("operate")) {
      const stats = await op("stats");
      byId("status").querySelector(".status-text").textContent =
        `${stats.model} · ${plural(stats.people, "person", "people")}`;
    } else {
      await op("ping");
      byId("status").querySelector(".status-text").textContent = document.body.dataset.server;
    }
    byId("status").dataset.state = "online";
  } catch (error) {
    if (error.code === "unauthorized") return;
  }
  lookSoon();
}

function lookSoon() {
  clearTimeout(timer);
  timer = setTimeout(look, LOOK_MS[connection()]);
}

let waiting = false;

function heedWaiting() {
  // the worker is the first to know that the server is offline
  const before = waiting;
  waiting = uploads().some(({ waitsFor }) => waitsFor);
  if (waiting && !before && connection() === "online") look();
}

// Buttons in the HTML are disabled until they have listeners; by now the view's own module has run.
setTimeout(() =>
  /** @type {NodeListOf<HTMLButtonElement>} */ (document.querySelectorAll("[data-waits]")).forEach((one) => {
    one.disabled = false;
    delete one.dataset.waits;
  }),
);

if (byId("status")) {
  document.addEventListener("facewire:server", () => {
    showConnection();
    (connection() === "online" ? look : lookSoon)();
  });
  document.addEventListener("facewire:changed", look); // it counts people
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) clearTimeout(timer);
    else {
      look();
      tellUploads();
    }
  });
  showConnection();
  look();
  follow(tellUploads);
  follow(heedWaiting);
  begin();
}
// Without the gateway, a link would only lead to the browser's own error page.
for (const kind of ["click", "submit"]) {
  document.addEventListener(
    kind,
    (/** @type {any} */ event) => {
      const leaves = kind === "submit" ? event.target.matches("form[action]") : event.target.closest?.("a[href^='/']");
      if (!leaves || connection() !== "gateway") return;
      event.preventDefault();
      notice("The page has lost its gateway: this link works again when it is back.", { bad: true });
      look();
    },
    true,
  );
}
// Makes Enter work on everything that looks like a button; the browser's file input only takes the space bar.
document.addEventListener("keydown", (/** @type {any} */ event) => {
  if (event.key !== "Enter" || !event.target.matches("input[type=file]")) return;
  event.preventDefault();
  event.target.click();
});
