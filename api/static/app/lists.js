// The lists of the questions that were asked, kept while one goes back and forth; what is removed is in
// none of them.

import { question } from "./address.js";
import { leaving, Results } from "./results.js";

/** @typedef {import("./address.js").Query} Query */

const KEPT = 6; // lists, for Back and Forward
/** @type {Set<() => void>} */
const watchers = new Set();
/** @type {Map<string, Results>} */
const kept = new Map();
let version = 0; // how often the library has changed while the page is open

/** The library has changed: lists are asked for anew when they are next shown from the top. */
export function forget() {
  version++;
}

/** Ask again what the server did not answer; lists that nobody sees are dropped. */
export function askAnew() {
  for (const [key, results] of kept) {
    if (!results.problem || results.problem.status) continue;
    if (results.listeners.size) void results.more();
    else kept.delete(key);
  }
}

/** Whether the library has changed since a list was made. @param {Results} results */
export const isStale = (results) => results.version !== version;

/**
 * The list of a query, as it was left where it is still there.
 * @param {Query} query
 * @param {{fresh?: boolean}} [how] `fresh`: not one from before the library changed
 */
export function resultsOf(query, { fresh = false } = {}) {
  const key = question(query);
  let found = kept.get(key);
  if (!found?.reaches(query.at) || (fresh && isStale(found))) {
    found = new Results(query);
    found.version = version;
  }
  kept.delete(key);
  kept.set(key, found);
  for (const [old, results] of kept) {
    if (old === key) continue;
    if (results.loading) results.stop.abort(); // a question that was replaced
    if (kept.size > KEPT || results.problem) kept.delete(old);
  }
  return found;
}

/**
 * Show pictures in no list; what comes back shows them again.
 * @param {Iterable<number>} images
 * @param {Results | null} [shown] a list that may not be kept any more
 */
export function leave(images, shown = null) {
  const left = [...images];
  const arrange = () => {
    for (const results of new Set([...kept.values(), ...(shown ? [shown] : [])])) {
      results.arrange();
      results.tell();
    }
    for (const watcher of watchers) watcher();
  };
  for (const image of left) leaving.add(image);
  arrange();
  return () => {
    for (const image of left) leaving.delete(image);
    arrange();
  };
}

/** Hear when pictures leave, or are back; what comes back ends that. @param {() => void} watcher */
export function listenLeaving(watcher) {
  watchers.add(watcher);
  return () => void watchers.delete(watcher);
}

/** Whether a picture is being removed. @param {number} image */
export const isLeaving = (image) => leaving.has(image);

/** Pictures have been removed: what is counted from now on is without them.
 * @param {Iterable<number>} images */
export function settle(images) {
  const gone = new Set(images);
  for (const results of kept.values()) {
    const before = results.every.length;
    results.every = results.every.filter((item) => !gone.has(item.image));
    if (results.counted !== null) results.counted -= before - results.every.length;
    results.arrange();
    results.tell();
  }
}
