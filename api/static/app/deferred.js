// What is carried out once it can no longer be taken back: when its notice goes, or the page does.

import { notify } from "./ui.js";

/** Ends the notices of what still waits. @type {Set<() => void>} */
const waiting = new Set();
let closing = false;

/**
 * Tell of something that seems done, and do it when the notice goes.
 * @param {string} text
 * @param {{undo: () => void, done: (options: RequestInit) => void}} what `done` is given options for its
 *   request, which has to outlive the page where that is being closed
 */
export function later(text, { undo, done }) {
  let end = () => {};
  const over = () => void waiting.delete(end);
  end = notify(text, {
    undo() {
      over();
      undo();
    },
    done() {
      over();
      done({ keepalive: closing });
    },
  });
  waiting.add(end);
}

addEventListener("pagehide", () => {
  closing = true;
  for (const end of [...waiting]) end();
  closing = false; // a page that is only put aside comes back
});
