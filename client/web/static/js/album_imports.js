// @ts-check
// Imports a folder from the server's own disk into an album. The gateway runs the import, so the page may be closed.

import { importFolder, lastImport, op } from "./api.js";
import { pickFolder } from "./album_folders.js";
import { task } from "./album_work.js";
import { pause } from "./asking.js";
import { failed, notice, sayRefused } from "./shell.js";
import { button } from "./view.js";
import { duration, isolated, plural, tenths, whole } from "./words.js";

const LOOK_MS = 1000;

export class Imports {
  // `album()` returns its name. Callbacks: `ondraw` on news, `onallowed` if the server allows imports, `onend`.
  constructor(album, { ondraw, onallowed, onend }) {
    this.album = album;
    this.ondraw = ondraw;
    this.onallowed = onallowed;
    this.onend = onend;
    this.allowed = false;
    this.now = null; // the gateway's state of the last import, and {first, begun} for the rate
  }

  // Does the server allow imports, and is one running?
  async learn() {
    try {
      this.allowed = (await op("album.folders", {})).allowed;
      if (!this.allowed || this.now?.running) return;
      this.onallowed();
      const last = await lastImport(this.album());
      if (last?.running) this.follow(last);
    } catch (error) {
      // older servers have no imports; that the server is offline is shown above
      if (!["unsupported_op", "offline", "gateway"].includes(error.code)) failed(error);
    }
  }

  async choose() {
    const folder = await pickFolder();
    if (folder !== null) this.begin(folder);
  }

  async begin(folder) {
    try {
      this.follow(await importFolder(this.album(), folder));
    } catch (error) {
      failed(error);
    }
  }

  async follow(now) {
    const since = { first: now.done, begun: performance.now() };
    for (;;) {
      this.now = { ...now, ...since };
      this.ondraw();
      if (!now.running) break;
      await pause(LOOK_MS);
      try {
        now = (await lastImport(this.album())) ?? {
          ...now,
          running: false,
          error: { message: "The gateway was restarted." },
        };
      } catch (error) {
        if (!["offline", "gateway"].includes(error.code)) now = { ...now, running: false, error }; // otherwise retried
      }
    }
    if (now.result) {
      const { added, duplicates, skipped, skipped_total: total, left_out: service } = now.result;
      notice(
        `${plural(added, "photo")} imported${duplicates ? `, ${whole(duplicates)} already there` : ""}` +
          `${service ? `, ${plural(service, "service file or folder", "service files and folders")} left out` : ""}.`,
      );
      sayRefused(skipped, total);
    }
    this.onend();
  }

  // The import's card, or null.
  task() {
    if (!this.now) return null;
    const { running, done, total, folder, error, first, begun } = this.now;
    const share = done / Math.max(1, total);
    if (running) {
      const rate = (done - first) / ((performance.now() - begun) / 1000);
      return task(
        `Importing ${isolated(folder) || "the folder"} from the server`,
        share,
        total
          ? `${whole(done)} of ${plural(total, "file")} · ${tenths(rate)} a second · ${duration((total - done) / rate)}`
          : "waiting",
        "The server does the work: you can close the page.",
      );
    }
    if (!error) return null;
    return task(
      "The import stopped",
      share,
      "",
      `${isolated(folder)}: ${error.message} What was added is kept.`,
      button("Continue", { kind: "primary", small: true, onclick: () => this.begin(folder) }),
      button("Leave it", {
        small: true,
        onclick: () => {
          this.now = null;
          this.ondraw();
        },
      }),
    );
  }
}
