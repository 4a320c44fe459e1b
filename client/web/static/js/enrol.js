// Enrolling pictures: each that was refused is named, with every reason that the server gave.

import { upload } from "./api.js";
import { plural, tell } from "./dom.js";
import { notice } from "./shell.js";

const NAMES = new Set(["index", "reason", "message"]);  // of a refusal: its place, the reason's code, the reason in words

// The reasons of one refusal as lines: its message, and whatever else came with it, numbers and all.
export function reasonsOf(refusal) {
  return [refusal.message, ...Object.entries(refusal).filter(([key]) => !NAMES.has(key)).flatMap(([key, value]) => lines(key, value))];
}

function lines(key, value) {
  if (value === null || value === undefined || value === false) return [];
  if (Array.isArray(value)) return value.flatMap((item) => (typeof item === "string" ? [item] : lines(key, item)));
  if (typeof value !== "object") return [`${words(key)}: ${number(value)}`];
  const { message, ...rest } = value;
  const facts = Object.entries(rest).filter(([, one]) => typeof one !== "object").map(([name, one]) => `${words(name)} ${number(one)}`);
  return message ? [message] : [facts.join(", ")];
}

const words = (key) => key.replaceAll("_", " ");
const number = (value) => (typeof value === "number" && !Number.isInteger(value) ? value.toPrecision(3) : String(value));

// One picture of `name`; `more` is a label and a point. Resolves to the answer; what was refused is in `rejected`.
export const enrolOne = (name, picture, more) => upload("/api/enrol", { name, ...more }, picture);

export async function enrolFiles(name, files) {
  const refused = [];
  let done = 0;
  for (const file of files) {
    try {
      const { rejected } = await enrolOne(name, file, { label: file.name });
      if (rejected.length) refused.push({ name: file.name, reasons: rejected.flatMap(reasonsOf) });
      else done += 1;
    } catch (error) {
      refused.push({ name: file.name, reasons: [error.message] });
      if (error.code === "offline" || error.code === "gateway") break;
    }
  }
  if (done) notice(`${name} is enrolled with ${plural(done, "new picture")}.`);
  if (refused.length) tell(`${refused.length} of ${plural(files.length, "picture")} not enrolled`, refused);
}
