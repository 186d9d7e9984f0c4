// What the keys of the keyboard do, and how to say what one looks for.

import { html, useLayoutEffect, useRef } from "../vendor/preact.js";
import { IconButton } from "./ui.js";

/** @type {[string, [string, string][]][]} */
const KEYS = [
  [
    "Anywhere",
    [
      ["/", "to the search box"],
      ["?", "this help"],
      ["Esc", "close, or choose nothing"],
    ],
  ],
  [
    "In the grid",
    [
      ["← → ↑ ↓", "from picture to picture"],
      ["Enter", "open"],
      ["Space", "select; with Shift up to here"],
      ["f", "find its like"],
      ["[ ]", "the next of its regions"],
      ["+ −", "right, wrong"],
    ],
  ],
  [
    "In a picture",
    [
      ["← →", "the picture before, the next"],
      ["[ ]", "a part of the region, what holds it"],
      ["v", "click to select"],
      ["c", "click to cut out"],
      ["Shift click", "add to what is cut out"],
      ["Alt click", "take away from it"],
      ["f", "find its like"],
      ["a", "add it to the search"],
      ["n", "not this"],
      ["+ − 0 1", "closer, farther, all of it, every pixel"],
    ],
  ],
  [
    "In a video",
    [
      ["Space", "play, pause"],
      [", .", "the keyframe before, the next"],
    ],
  ],
];

/** @type {[string, string][]} */
const WAYS = [
  [
    "a red umbrella",
    "Say what the thing looks like; a word or two are enough. What is found is a part of a " +
      "picture, outlined in it.",
  ],
  ["umbrella -beach", "A minus before a word leaves out what looks like that."],
  ['text:"24 hours"', "Words that stand in pictures, in this order; text:stair* is how a word begins."],
  ["-text:sold", "A minus leaves out pictures that show the words."],
  [
    "a picture",
    "Drop, paste or choose one in the search box: what looks like it is found. Words beside it " +
      "count, too: the same, but red.",
  ],
  ["a region", "“Find its like” on any outlined thing; “right” and “wrong” steer from there."],
  ["a scene", "Several things in one picture, and how they lie: a dog left of a frisbee, and no leash."],
  [
    "very likely, perhaps",
    "How sure an answer is. Below the line “probably not” stands what is merely nearest.",
  ],
];

/** @param {{onClose: () => void}} props */
export function Help({ onClose }) {
  const dialog = useRef(/** @type {HTMLDialogElement | null} */ (null));
  useLayoutEffect(() => {
    dialog.current?.showModal();
    return () => dialog.current?.close();
  }, []);
  const close = () => dialog.current?.close();
  return html`<dialog id="help" ref=${dialog} aria-labelledby="help-title" onClose=${onClose}
      onKeyDown=${(/** @type {KeyboardEvent} */ event) => event.stopPropagation()}
      onClick=${(/** @type {MouseEvent} */ event) => {
        if (event.target === dialog.current) close();
      }}>
    <div class="help">
      <div class="title"><h1 id="help-title">Keys and help</h1>
        <${IconButton} icon="close" label="Close (Esc)" onClick=${close} /></div>
      <h2>How to say it</h2>
      <dl class="ways">${WAYS.map(([said, meant]) => html`<dt>${said}</dt><dd>${meant}</dd>`)}</dl>
      <h2>Keys</h2>
      <div class="keyboard">${KEYS.map(
        ([where, keys]) => html`<section key=${where}><h3>${where}</h3>
        <dl>${keys.map(
          ([key, act]) => html`
          <dt>${key.split(" ").map((one) => html`<kbd>${one}</kbd> `)}</dt><dd>${act}</dd>`,
        )}
        </dl></section>`,
      )}
      </div>
    </div>
  </dialog>`;
}
