// What is asked, tied to the address: the one place that every view reads and every control writes.

import { useEffect, useState } from "../vendor/preact.js";
import { format, parse } from "./address.js";

/** @typedef {import("./address.js").Query} Query */

const AT_PAUSE_MS = 250; // browsers allow some hundred address changes in half a minute

/** @type {Set<() => void>} */
const listeners = new Set();
let current = parse(location.search);
/** @type {ReturnType<typeof setTimeout> | undefined} */
let pending;
let place = 0; // what is to be noted
let closing = false; // a step back is under way: the browser takes it a moment later

/** What the address asks now. @returns {Query} */
export const query = () => current.query;

/** Sentences on what the address says and nobody can read. */
export const oddities = () => current.odd;

/** Hear of each change; what comes back ends that. @param {() => void} listener */
export function listen(listener) {
  listeners.add(listener);
  return () => void listeners.delete(listener);
}

function tell() {
  current = parse(location.search);
  for (const listener of listeners) listener();
}

/** The address of a query, as a link has it. @param {Query} next */
export const link = (next) => format(next) || location.pathname;

/** The present query with some of it changed, and from the top. @param {Partial<Query>} changes */
export const changed = (changes) => ({ ...query(), image: 0, segment: 0, at: 0, ...changes });

/**
 * Ask for something else. A step in the history, unless it only refines the step before.
 * @param {Query} next
 * @param {{replace?: boolean}} [how]
 */
export function go(next, { replace = false } = {}) {
  flush();
  const address = link(next);
  if (address === (location.search || location.pathname)) return tell();
  if (replace) history.replaceState(history.state, "", address);
  else history.pushState({ inside: true }, "", address);
  tell();
}

/** Change a part of the query; answers begin at the top again. @param {Partial<Query>} changes */
export const change = (changes) => go(changed(changes));

/** The regions of a group of the map. @param {number} cluster */
export const groupOf = (cluster) =>
  changed({ view: "grid", filters: { ...query().filters, map_area: undefined, map_cluster: cluster } });

/**
 * Open a picture, with a region chosen in it. The grid stays where it is below.
 * @param {number} image
 * @param {number} [segment]
 */
export function openPicture(image, segment = 0) {
  const was = query();
  go({ ...was, image, segment }, { replace: was.image > 0 });
}

/** Close the picture: a step back where that leads to the grid, else a step of its own. */
export function closePicture() {
  if (!query().image || closing) return;
  closing = Boolean(history.state?.inside);
  if (closing) history.back();
  else go({ ...query(), image: 0, segment: 0 });
}

/** Note which answer stands at the top of the window; no step in the history. @param {number} at */
export function noteAt(at) {
  if (at === query().at && !pending) return;
  clearTimeout(pending);
  place = at;
  pending = setTimeout(flush, AT_PAUSE_MS);
}

/** Write down at once where the window stands. */
function flush() {
  if (pending === undefined) return;
  clearTimeout(pending);
  pending = undefined;
  if (query().image) return;
  current = { ...current, query: { ...query(), at: place } };
  history.replaceState(history.state, "", link(query()));
}

/** The query, in a view that is drawn again when it changes. @returns {Query} */
export function useQuery() {
  const [, again] = useState({});
  useEffect(() => listen(() => again({})), []);
  return query();
}

addEventListener("popstate", () => {
  closing = false;
  clearTimeout(pending);
  pending = undefined;
  tell();
});
