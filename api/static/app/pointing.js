// What points mean that cut a thing out: a new thing, more of it, or what is not of it; and the way back.

import { html } from "../vendor/preact.js";
import { regionsAt } from "./masks.js";
import { Switch } from "./ui.js";

/**
 * @typedef {{points: [number, number][], labels: (0 | 1)[],
 *   box: [number, number, number, number] | null}} Prompt
 * @typedef {"new" | "more" | "not"} Mode
 */

/** @returns {Prompt} */
export const nothing = () => ({ points: [], labels: [], box: null });
/** @param {Prompt} prompt */
const isEmpty = ({ points, box }) => !points.length && !box;

/**
 * What is pointed at with one more point; null where there is nothing yet to take it away from.
 * @param {Prompt} prompt
 * @param {[number, number]} point x, y in pixels of the picture
 * @param {Mode} mode
 * @returns {Prompt | null}
 */
export function withPoint(prompt, point, mode) {
  const { points, labels, box } = mode === "new" ? nothing() : prompt;
  if (mode === "not" && isEmpty({ points, labels, box })) return null;
  return { points: [...points, point], labels: [...labels, mode === "not" ? 0 : 1], box };
}

/** The same without the last point; null where nothing is left. @param {Prompt} prompt
 * @returns {Prompt | null} */
export function withoutLast({ points, labels, box }) {
  const left = { points: points.slice(0, -1), labels: labels.slice(0, -1), box: points.length ? box : null };
  return isEmpty(left) || !(left.box || left.labels.includes(1)) ? null : left;
}

/** Whether a mask holds every point of the thing and none that is not of it.
 * @param {import("./items.js").Region} mask @param {Prompt} prompt */
export const obeys = (mask, { points, labels }) =>
  points.every(([x, y], i) => regionsAt([mask], x, y).length === labels[i]);

/** What a click does beside what was clicked before: for fingers, which have no Shift and no Alt.
 * @param {{mode: Mode, prompt: Prompt, onMode: (mode: Mode) => void, onUndo: () => void}} props */
export const Pointing = ({ mode, prompt, onMode, onUndo }) => html`
  <${Switch} label="What a point is" value=${mode} options=${[
    ["new", "New"],
    ["more", "Add"],
    ["not", "Take away"],
  ]} onChange=${onMode} />
  <button type="button" title="Undo the last point (Ctrl+Z)" disabled=${isEmpty(prompt)}
    onClick=${onUndo}>Undo point</button>`;
