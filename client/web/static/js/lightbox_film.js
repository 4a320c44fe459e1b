// @ts-check
// A video in the lightbox: the frame of its best face until it is played, and when somebody is in it, to play it from
// there.

import { html, nothing } from "../vendor/lit-html/lit-html.js";
import { connection } from "./api.js";
import { button } from "./view.js";
import { clock } from "./words.js";

const PLAYER = "video";
const START = ".lightbox-play button";

export class Film {
  // `lightbox`: where it is shown, which it also has draw what is said here
  constructor(lightbox) {
    this.lightbox = lightbox;
    this.shown();
  }

  // Another photo or video is shown.
  shown() {
    this.from = null; // the second from which it plays; null: it doesn't
    this.problem = null;
  }

  get plays() {
    return this.from !== null;
  }

  play(from) {
    const player = this.lightbox.dialog.querySelector(PLAYER);
    this.from = from;
    this.problem = null;
    if (player) {
      player.currentTime = from;
      player.play().catch(() => null); // the browser shows that it waits
    } else this.draw(PLAYER);
  }

  stop(problem = null) {
    this.from = null;
    this.problem = problem;
    this.draw(START);
  }

  // What was pressed goes, and the focus with it, unless something takes it: then no key would be heard.
  draw(focused) {
    const { dialog } = this.lightbox;
    const held = dialog.contains(document.activeElement);
    this.lightbox.draw();
    if (held) dialog.querySelector(focused)?.focus();
  }

  // In place of the picture, while it plays.
  player(item) {
    const why = () =>
      connection() === "online" ? "This browser can't play this video." : "The server can't be reached.";
    return html`<video
      src=${item.film}
      aria-label=${item.name}
      controls
      autoplay
      playsinline
      @loadedmetadata=${({ target }) => {
        target.currentTime = this.from;
      }}
      @ended=${() => this.stop()}
      @error=${() => this.stop(why())}
    ></video>`;
  }

  // Over the frame.
  start(item) {
    if (!item?.film || this.plays) return nothing;
    return html`<div class="lightbox-play">
      <p role="status">${this.problem}</p>
      ${button("Play", { name: "play", kind: "on-dark", onclick: () => this.play(0) })}
    </div>`;
  }

  // `faces`: of these, those with `seen`: [[first, last second], …].
  times(faces, go) {
    const timed = faces.filter(({ seen }) => seen?.length);
    const spanOf = ([first, last]) => `${clock(first)}–${clock(last)}`;
    return html`<ul class="lightbox-times" aria-label="Who is in this video, and when" ?hidden=${!timed.length}>
      ${timed.map(
        ({ title, href, seen }) =>
          html`<li>
            ${button(title, { kind: "on-dark", small: true, onclick: () => go(href) })}
            ${seen.map((span) =>
              button(spanOf(span), {
                kind: "on-dark",
                small: true,
                "aria-label": `${spanOf(span)}: play from there`,
                onclick: () => this.play(span[0]),
              }),
            )}
          </li>`,
      )}
    </ul>`;
  }
}
