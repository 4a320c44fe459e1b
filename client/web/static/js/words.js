// @ts-check
// Numbers, dates and names as the page writes them: in the language of its own words, whatever the browser's is.

import { html } from "../vendor/lit-html/lit-html.js";

const LOCALE = document.documentElement.lang;
const formatted = (options) => {
  const format = new Intl.NumberFormat(LOCALE, options);
  return (value) => format.format(value);
};
const dated = (options) => {
  const format = new Intl.DateTimeFormat(LOCALE, options);
  return (at) => format.format(new Date(at));
};

export const whole = formatted({ maximumFractionDigits: 0 });
export const tenths = formatted({ minimumFractionDigits: 1, maximumFractionDigits: 1 });
export const hundredths = formatted({ minimumFractionDigits: 2, maximumFractionDigits: 2 }); // similarities
export const thousandths = formatted({ minimumFractionDigits: 3, maximumFractionDigits: 3 });
export const share = formatted({ style: "percent", maximumFractionDigits: 0 });
export const day = dated({ dateStyle: "medium" });
export const moment = dated({ dateStyle: "medium", timeStyle: "short" });

const plurals = new Intl.PluralRules(LOCALE);
export const isOne = (count) => plurals.select(count) === "one";

const units = {};

// 3.2 MB, 12 sec; `digits` after the point.
export function measured(value, unit, digits = 0) {
  units[unit + digits] ??= formatted({
    style: "unit",
    unit,
    unitDisplay: "short",
    minimumFractionDigits: digits,
    maximumFractionDigits: digits,
  });
  return units[unit + digits](value);
}

export const plural = (count, one, many = `${one}s`) => `${whole(count)} ${isOne(count) ? one : many}`;

export function megabytes(bytes) {
  if (bytes < 1e6) return measured(Math.max(1, bytes / 1e3), "kilobyte");
  return bytes < 1e9 ? measured(bytes / 1e6, "megabyte", 1) : measured(bytes / 1e9, "gigabyte", 2);
}

export function duration(seconds) {
  if (!Number.isFinite(seconds)) return "";
  if (seconds < 60) return `${measured(Math.max(1, seconds), "second")} left`;
  return `${seconds < 5400 ? measured(seconds / 60, "minute") : measured(seconds / 3600, "hour", 1)} left`;
}

// A place in a video: 1:05.
export const clock = (seconds) => `${Math.floor(seconds / 60)}:${String(Math.floor(seconds % 60)).padStart(2, "0")}`;

const lists = new Intl.ListFormat(LOCALE, { type: "conjunction" });
export const listed = (texts) => lists.format(texts);

// ---------------------------------------------------------------------------------------------- names

// A name or a file's name. It may run from right to left, and must not turn the words around it.
export const named = (name) => html`<bdi>${name}</bdi>`;

// said`${name} is enrolled.` gives texts and templates, in which everything inserted stands in a <bdi>.
export const said = (texts, ...inserted) =>
  texts.flatMap((text, place) => (place < inserted.length ? [text, named(inserted[place])] : [text]));

const RIGHT_TO_LEFT = new RegExp(
  "[\\p{Script=Arabic}\\p{Script=Hebrew}\\p{Script=Syriac}\\p{Script=Thaana}\\p{Script=Nko}\\p{Script=Adlam}" +
    "\\u200f\\u202b\\u202e\\u2067]",
  "u",
);

// The same for plain text, such as attributes: isolated by Unicode's marks (FSI, PDI) where that makes a difference.
export const isolated = (name) => (RIGHT_TO_LEFT.test(name) ? `\u2068${name}\u2069` : name);

// Isolates `names` wherever they are in the server's text.
export const isolating = (text, names) =>
  names
    .filter((name) => name && RIGHT_TO_LEFT.test(name))
    .reduce((so, name) => so.replaceAll(name, isolated(name)), text);
