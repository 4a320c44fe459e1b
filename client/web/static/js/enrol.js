// @ts-check
// Enrols pictures. Lists each refused one with all reasons and numbers, and offers to enrol it anyway.

import { op, upload } from "./api.js";
import { GALLERY, tellChange } from "./changes.js";
import { tell } from "./dialogs.js";
import { notice } from "./shell.js";
import { hundredths, isolated, plural, said, share, thousandths } from "./words.js";

const WORDS = {
  too_small: ({ measured, limit }) =>
    `The face is too small: ${Math.round(measured)} pixels, at least ${Math.round(limit)} are needed.`,
  blurred: ({ measured, limit }) =>
    `The face is blurred: its sharpness is ${thousandths(measured)}, at least ${thousandths(limit)} is needed.`,
  turned_away: ({ measured, limit }) =>
    `The face is turned away by ${angle(measured)}: at most ${angle(limit)} are taken.`,
  too_dark: ({ measured, limit }) =>
    `The face is too dark: its brightness varies by ${Math.round(measured)} levels of 255, ` +
    `at least ${Math.round(limit)} are needed.`,
  too_bright: ({ measured, limit }) =>
    `The face is too bright: ${share(measured)} of it is white, at most ${share(limit)} are taken.`,
  partly_outside: ({ measured, limit }) =>
    `The face is partly outside the picture: ${share(measured)} of it, at most ${share(limit)} are taken.`,
  not_a_face: ({ measured, limit }) =>
    `This doesn't look like a face: its likeness is ${hundredths(measured)}, at least ${hundredths(limit)} is needed.`,
  several_faces: ({ measured }) =>
    `${Math.round(measured)} faces are in the picture: if enrolled anyway, the largest central one is used.`,
  duplicate: ({ measured, limit }, message) =>
    `${sentence(message)} ` +
    (measured ? `They differ by ${share(measured)}, copies by less than ${share(limit)}.` : "It is the same file."),
};

const angle = (tangent) => `${Math.round((Math.atan(tangent) * 180) / Math.PI)}°`;
const sentence = (text) => `${text[0].toUpperCase()}${text.slice(1)}${/[.?!]$/.test(text) ? "" : "."}`;

// The reasons of a refusal as lines with numbers; the server's own words for reasons unknown to this page.
export function reasonsOf({ message, shortcomings }) {
  const own = sentence(message.replace(/ If not, accept \w+$/, ""));
  return shortcomings.length ? shortcomings.map((one) => WORDS[one.reason]?.(one, message) ?? own) : [own];
}

// The reasons to accept in order to enrol a refused picture anyway; null if that is impossible.
export function acceptable({ shortcomings }) {
  const hopeless =
    !shortcomings.length || shortcomings.some(({ reason, measured }) => reason === "duplicate" && !measured);
  return hopeless ? null : shortcomings.map(({ reason }) => reason);
}

// Enrols a picture of `name`; `more`: label, point, accepted reasons. Resolves to the answer, with refusals in
// `rejected`. Shows a notice for each doubt.
export async function enrolOne(name, picture, { accept = [], ...more }) {
  const answer = await upload("/api/enrol", { name, ...more, accept: accept.join(",") || undefined }, picture);
  if (answer.event) tellChange(GALLERY);
  answer.doubts.forEach((doubt) =>
    notice(
      said`${name} is enrolled, but ${reasonsOf(doubt)
        .join(" ")
        .replace(/^(It|There) /, (word) => word.toLowerCase())}`,
      { bad: true },
    ),
  );
  return answer;
}

// Enrols several pictures of `name`; calls `onenrolled` whenever some of them are enrolled.
export async function enrolFiles(name, files, onenrolled) {
  const refused = [];
  let done = 0;
  for (const file of files) {
    try {
      const {
        rejected: [rejection],
      } = await enrolOne(name, file, { label: file.name });
      if (!rejection) done += 1;
      else
        refused.push(
          refusal(file.name, rejection, async (accept) => {
            const {
              rejected: [other],
            } = await enrolOne(name, file, { label: file.name, accept });
            if (!other) onenrolled();
            return other;
          }),
        );
    } catch (error) {
      refused.push({ name: file.name, reasons: [error.message] });
      if (error.code === "offline" || error.code === "gateway") break;
    }
  }
  if (done) {
    notice(said`${name} is enrolled with ${plural(done, "new picture")}.`);
    onenrolled();
  }
  if (refused.length) tell(`${refused.length} of ${plural(files.length, "picture")} not enrolled`, refused);
}

// Enrols the best faces of an album's person. Throws if the server refuses the whole request.
export async function enrolFromAlbum(album, person) {
  const send = (accept) => op("album.enrol", { album, person, accept });
  const { name, templates, left_out: leftOut } = await send([]);
  const refused = leftOut.filter(isNews);
  tellChange(GALLERY);
  if (templates) notice(said`${name} is in the gallery with ${plural(templates, "face")}: Identify knows them now.`);
  if (!refused.length) return;
  tell(
    `${plural(refused.length, "face")} of ${isolated(name)} not enrolled`,
    refused.map((one) =>
      refusal(one.photo, one, async (accept) => {
        const answer = await send(accept);
        return answer.left_out.filter(isNews).find(({ face }) => face === one.face);
      }),
    ),
  );
}

const isNews = ({ reason }) => reason !== "duplicate"; // duplicates need no attention

// An entry of the dialog of refusals: "Enrol anyway" accepts the given reasons only. `again(accept)` retries, and
// resolves to the new refusal, if any.
function refusal(name, rejection, again, accepted = []) {
  const reasons = acceptable(rejection);
  const anyway = reasons && {
    label: "Enrol anyway",
    act: async () => {
      const accept = [...accepted, ...reasons];
      try {
        const other = await again(accept);
        return other ? refusal(name, other, again, accept) : { name, reasons: ["Enrolled."] };
      } catch (error) {
        return { name, reasons: [error.message] };
      }
    },
  };
  return { name, reasons: reasonsOf(rejection), action: anyway };
}
