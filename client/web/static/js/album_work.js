// @ts-check
// An album's work in progress, as cards: uploads, and finding people.

import { html, nothing } from "../vendor/lit-html/lit-html.js";
import { repeat } from "../vendor/lit-html/directives/repeat.js";
import { sentOf } from "./batches.js";
import { goOn, leave, stop, uploads } from "./uploading.js";
import { button } from "./view.js";
import { duration, megabytes, plural, tenths, whole } from "./words.js";

const AWAY = {
  offline: "The server is unavailable",
  gateway: "The page's gateway is unavailable",
  busy: "The server is busy",
  timeout: "The server does not answer",
};

// `share`: null if nobody knows how much there is to do.
export const task = (title, share, facts, text, ...actions) =>
  html`<div class="card task">
    <div>
      <h2>${title}</h2>
      <p class="sub">${text}</p>
    </div>
    <div>
      <p class="facts">${facts}</p>
      ${actions.length ? html`<span class="row">${actions}</span>` : nothing}
    </div>
    ${share === null ? nothing : bar(title, share)}
  </div>`;

function bar(title, share) {
  return html`<div
    class="meter"
    role="progressbar"
    aria-label=${title}
    aria-valuemin="0"
    aria-valuemax="100"
    aria-valuenow=${Math.round(100 * share)}
  >
    <div class="meter-fill" .style=${`width: ${100 * Math.min(1, share)}%`}></div>
  </div>`;
}

// ---------------------------------------------------------------------------------------------- uploads

export const uploadTasks = (album, failed) =>
  repeat(
    uploads().filter((one) => one.album === album && one.state !== "finished"),
    ({ id }) => id,
    (one) => uploadTask(one, failed),
  );

function uploadTask(one, failed) {
  const sent = sentOf(one);
  const share = sent / Math.max(1, one.bytes);
  const amount = `${megabytes(sent)} of ${megabytes(one.bytes)}`;
  const act = (make) => () => make(one.id).catch(failed);
  if (one.state === "stopped") {
    return task(
      one.problem ? "The upload stopped" : "You stopped the upload",
      share,
      amount,
      `${one.problem ? `${one.problem} ` : ""}What was uploaded is kept.`,
      button("Continue", { kind: "primary", small: true, onclick: act(goOn) }),
      button("Leave it", { small: true, onclick: act(leave) }),
    );
  }
  const facts = one.waitsFor
    ? [amount, "waiting"]
    : one.speed > 0
      ? [amount, `${megabytes(one.speed)}/s`, duration(one.secondsLeft)]
      : [amount];
  return task(
    `Uploading ${plural(one.files, "file")}`,
    share,
    facts.filter(Boolean).join(" · "),
    [one.waitsFor ? `${AWAY[one.waitsFor.code]}; the upload resumes by itself.` : "", mayClose(one)].join(" "),
    button("Stop", { small: true, onclick: act(stop) }),
  );
}

// May the page be closed, and what happens to the upload then?
function mayClose({ keepOpen, copied, files }) {
  const copies = `${whole(copied)} of ${plural(files, "file")}`;
  if (keepOpen === "copying") return `Keep this page open until the browser has its own copy: ${copies} so far.`;
  if (keepOpen)
    return `Keep this page open: ${keepOpen}. What was uploaded is kept; drop the same files again to resume later.`;
  if (copied < files) return `Keep the page on which you dropped them open: the browser has its own copy of ${copies}.`;
  return "You can close this page: the browser keeps uploading, and if it stops early, it resumes when you return.";
}

// A ZIP or a folder that the server adds by itself: somebody else's, or one of before the gateway was restarted.
export function addingTask(info, sending) {
  if (!info?.adding || sending) return null;
  return task(
    "Adding photos",
    null,
    `${plural(info.photos, "photo")} so far`,
    "The server does the work: you can close the page.",
  );
}

// ---------------------------------------------------------------------------------------------- finding people

let work = null; // {first: photos done when this page began to look, begun}: for the rate

// `idle`: nothing is being uploaded, so waiting photos would wait forever.
export function processingTask(info, { idle, process }) {
  if (!info?.processing) {
    work = null;
    if (!info?.waiting || !idle) return null;
    return task(
      `${plural(info.waiting, "photo")} not processed yet`,
      0,
      "",
      "Start finding faces when you are ready.",
      button("Find people", { kind: "primary", small: true, onclick: process }),
    );
  }
  const { processed, waiting } = info; // by the server, so that neither a reload nor a restart begins at zero
  work ??= { first: processed, begun: performance.now() };
  const rate = Math.max(0, processed - work.first) / ((performance.now() - work.begun) / 1000);
  const speed = rate > 0 ? ` · ${tenths(rate)} a second · ${duration(waiting / rate)}` : "";
  const facts = waiting
    ? `${whole(processed)} of ${plural(processed + waiting, "photo")}${speed}`
    : "sorting the faces";
  return task(
    "Finding people",
    processed / Math.max(1, processed + waiting),
    facts,
    "The server does the work: you can close the page.",
  );
}
