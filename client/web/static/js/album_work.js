// An album's work in progress, as cards: uploads, and finding people.

import { button, duration, el, megabytes, meter, plural } from "./dom.js";
import { goOn, leave, stop, uploads } from "./uploading.js";

const AWAY = { offline: "The server is away", gateway: "The page's gateway is away", busy: "The server is busy", timeout: "The server does not answer" };

export function task(title, share, facts, text, ...actions) {
  const bar = meter(share);
  bar.removeAttribute("aria-hidden");
  Object.entries({ role: "progressbar", "aria-label": title, "aria-valuemin": 0, "aria-valuemax": 100, "aria-valuenow": Math.round(100 * share) }).forEach(([key, value]) => bar.setAttribute(key, value));
  return el("div", { class: "card task" }, el("div", {}, el("h2", {}, title), el("p", { class: "sub" }, text)),
    el("div", {}, el("p", { class: "facts" }, facts), actions.length ? el("span", { class: "row" }, actions) : null), bar);
}

// ---------------------------------------------------------------------------------------------- uploads

export function uploadTasks(album, failed) {
  return uploads().filter((one) => one.album === album && one.state !== "finished").map((one) => uploadTask(one, failed));
}

function uploadTask(one, failed) {
  const share = one.sent / Math.max(1, one.bytes);
  const amount = `${megabytes(one.sent)} of ${megabytes(one.bytes)}`;
  const act = (make) => () => make(one.id).catch(failed);
  if (one.state === "stopped") {
    return task(one.problem ? "The upload stopped" : "You stopped the upload", share, amount, `${one.problem ? `${one.problem} ` : ""}What has arrived is kept.`,
      button("Go on", { kind: "primary", small: true, onclick: act(goOn) }), button("Leave it", { small: true, onclick: act(leave) }));
  }
  const facts = one.waitsFor ? [amount, "waiting"] : one.speed > 0 ? [amount, `${megabytes(one.speed)}/s`, duration(one.secondsLeft)] : [amount];
  return task(`Uploading ${plural(one.files, "file")}`, share, facts.filter(Boolean).join(" · "), [one.waitsFor ? `${AWAY[one.waitsFor.code]}; this goes on by itself.` : "", mayClose(one)].join(" "),
    button("Stop", { small: true, onclick: act(stop) }));
}

// May the page be closed, and what happens to the upload then?
function mayClose({ keepOpen, copied, files }) {
  const copies = `${copied.toLocaleString("en")} of ${plural(files, "file")}`;
  if (keepOpen === "copying") return `Keep this page open until the browser has its own copy: ${copies} so far.`;
  if (keepOpen) return `Keep this page open: ${keepOpen}. What has arrived is kept; drop the same again to go on after a break.`;
  if (copied < files) return `Keep the page open where you dropped them: the browser has its own copy of ${copies}.`;
  return "You can close this page: the browser goes on, and where it stops before the end, it goes on when you come back.";
}

// ---------------------------------------------------------------------------------------------- finding people

let work = null;  // {first: photos waiting at the start, begun}

// `idle`: nothing is being uploaded, so waiting photos would wait forever.
export function processingTask(info, { idle, process }) {
  if (!info?.processing) {
    work = null;
    if (!info?.waiting || !idle) return null;
    return task(`${plural(info.waiting, "photo")} not looked at yet`, 0, "", "Faces are found when you say so.", button("Find people", { kind: "primary", small: true, onclick: process }));
  }
  work ??= { first: info.waiting, begun: performance.now() };
  work.first = Math.max(work.first, info.waiting);
  const done = work.first - info.waiting;
  const rate = done / ((performance.now() - work.begun) / 1000);
  const facts = info.waiting ? `${done} of ${plural(work.first, "photo")} · ${rate.toFixed(1)} a second · ${duration(info.waiting / rate)}` : "sorting the faces";
  return task("Finding people", done / Math.max(1, work.first), facts, "The server does this: you can close the page.");
}
