// @ts-check
// "Take N names from the gallery": whom it would name, face beside face, before it does.

import { html, nothing } from "../vendor/lit-html/lit-html.js";
import { address, everything, op } from "./api.js";
import { openDialog } from "./dialogs.js";
import { failed } from "./shell.js";
import { button, picture } from "./view.js";
import { hundredths, isolated, listed, named, plural } from "./words.js";

// `known`: the matches of `album.recognise`. Each may be left out; the rest are named as one change that can be undone.
export async function takeNames(context, known) {
  const { album } = context;
  try {
    const people = new Map((await everything("album.people", "people", { album })).map((one) => [one.person, one]));
    const chosen = await choose(
      album,
      known.filter(({ person }) => people.has(person)),
      people,
    );
    if (chosen) await context.change(() => apply(album, chosen));
  } catch (error) {
    failed(error);
  }
}

async function apply(album, people) {
  const { matches, event } = await op("album.recognise", { album, apply: true, people });
  if (event === null) throw new Error("Nobody was named: they have been named or changed since.");
  return { event, done: `Named ${listed([...new Set(matches.map(({ name }) => isolated(name)))])}.` };
}

// Resolves to the numbers of the people to be named, or null.
function choose(album, known, people) {
  return new Promise((resolve) => {
    const already = new Set([...people.values()].map(({ name }) => name).filter(Boolean));
    const chosen = new Set(known.map(({ person }) => person));
    let answer = null;
    const { dialog, draw } = openDialog("Are these the same people?", content, {
      kind: "names-dialog",
      onsubmit: () => (answer = [...chosen]),
      onclose: () => resolve(answer),
    });

    function content(heading) {
      const count = chosen.size;
      return html`
        <p>
          On the left a face of this album, on the right one of the gallery. Leave out who is wrong. You can undo it.
        </p>
        <ul class="name-rows" tabindex="0" aria-labelledby=${heading}>
          ${known.map(row)}
        </ul>
        <div class="row">
          ${button("Cancel", { onclick: () => dialog.close() })}
          <button class="button primary" type="submit" ?disabled=${!count}>
            ${count ? `Name ${plural(count, "person", "people")}` : "Name nobody"}
          </button>
        </div>
      `;
    }

    function row(match) {
      const { person, name, similarity, threshold } = match;
      const { face, faces } = people.get(person);
      const twice = already.has(name) || known.some((other) => other !== match && other.name === name);
      const choose = ({ target }) => {
        if (target.checked) chosen.add(person);
        else chosen.delete(person);
        draw();
      };
      return html`<li>
        <label class="name-row">
          <input type="checkbox" class="pick" .checked=${chosen.has(person)} @change=${choose} />
          ${picture(address("/api/album/face", { album, face, size: 240 }), "In this album")}
          ${picture(address("/api/crop", { name }), "In the gallery")}
          <span>
            <strong>${named(name)}</strong>
            <span>
              ${plural(faces, "face")} here · ${hundredths(similarity)} similar, ${hundredths(threshold)} needed
            </span>
            ${twice ? html`<span>joins others of that name</span>` : nothing}
          </span>
        </label>
      </li>`;
    }

    /** @type {HTMLElement} */ (dialog.querySelector("[type=submit]")).focus();
  });
}
