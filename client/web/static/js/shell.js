// The frame around every view: the server's availability and notifications.

import { connection, op } from "./api.js";
import { button, byId, el, icon, plural, tell } from "./dom.js";
import { begin, follow, leave, uploads } from "./uploading.js";

const NOTICE_MS = 7000;
const LOOK_MS = { online: 20000, offline: 4000, gateway: 4000 };

// A notification at the bottom; `action` is a button in it. With an action it stays longer.
export function notice(text, { bad = false, action, onclick } = {}) {
  const remove = () => line.remove();
  const line = el("div", { class: `notice ${bad ? "bad" : ""}` }, el("p", {}, text),
    action ? button(action, { small: true, onclick: () => { remove(); onclick(); } }) : null,
    button("", { name: "close", small: true, "aria-label": "Close", onclick: remove }));
  const all = byId("notices");
  all.append(line);
  while (all.children.length > 3) all.firstChild.remove();
  let timer;
  const leave = () => { clearTimeout(timer); timer = setTimeout(remove, action || bad ? 2 * NOTICE_MS : NOTICE_MS); };
  line.addEventListener("pointerover", () => clearTimeout(timer));
  line.addEventListener("focusin", () => clearTimeout(timer));
  line.addEventListener("pointerout", leave);
  line.addEventListener("focusout", leave);
  leave();
}

export function failed(error) {
  if (error.name !== "AbortError" && error.code !== "unauthorized") notice(error.message, { bad: true });
}

// Reports refused files out of `total`: the first of `refused` at once, all of them on request.
export function sayRefused(refused, total) {
  if (!total) return;
  const title = `${plural(total, "file")} not taken`;
  notice(`${title}, ${refused[0].name}: ${refused[0].reason}`, { bad: true, action: total > 1 ? "All of them" : undefined,
    onclick: () => tell(total > refused.length ? `${title}, the first ${refused.length}` : title, refused.map(({ name, reason }) => ({ name, reasons: [reason] }))) });
}

const told = new Set();

// Uploads may end while any page or none is open: the first page that is viewed reports the result.
function tellUploads() {
  if (document.hidden) return;
  uploads().filter(({ id, state }) => state === "finished" && !told.has(id)).forEach(async ({ id, album, added, duplicates, refused, refusals, problem }) => {
    told.add(id);
    if (!await leave(id)) return;
    if (added || duplicates) notice(`${plural(added, "photo")} added to ${album}${duplicates ? `, ${duplicates.toLocaleString("en")} there already` : ""}.`);
    sayRefused(refused, refusals);
    if (problem) notice(`${album}: ${problem}`, { bad: true });
  });
}

// Calls `load` now, and again when the server comes back online.
export function whenOnline(load) {
  document.addEventListener("facewire:server", (event) => { if (event.detail === "online") load(); });
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
  const words = now === "gateway"
    ? [el("strong", {}, "This page lost its gateway. "), "Start it again with ", el("code", {}, "python web_app.py"), "; what is on the screen stays."]
    : [el("strong", {}, `No server answers at ${server}. `), "Start it with ", el("code", {}, `python server_app.py --port ${document.body.dataset.serverPort}`), " - this page goes on by itself when it is there."];
  banner.replaceChildren(icon("unplug"), el("p", {}, words), button("Try now", { small: true, onclick: look }));
}

let timer;

async function look() {
  clearTimeout(timer);
  try {
    const stats = await op("stats");
    byId("status").querySelector(".status-text").textContent = `${stats.model} · ${plural(stats.people, "person", "people")}`;
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

function heedWaiting() {  // the worker is the first to know that the server is offline
  const before = waiting;
  waiting = uploads().some(({ waitsFor }) => waitsFor);
  if (waiting && !before && connection() === "online") look();
}

// Buttons in the HTML are disabled until they have listeners; by now the view's own module has run.
setTimeout(() => document.querySelectorAll("[data-waits]").forEach((one) => {
  one.disabled = false;
  delete one.dataset.waits;
}));

if (byId("status")) {
  document.addEventListener("facewire:server", () => { showConnection(); (connection() === "online" ? look : lookSoon)(); });
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
// Makes Enter work on everything that looks like a button; the browser's file input only takes the space bar.
document.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || !event.target.matches("input[type=file]")) return;
  event.preventDefault();
  event.target.click();
});
