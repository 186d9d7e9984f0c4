// What is chosen, a region or a picture as a whole, as a part of what is asked for: looked for alone,
// beside the rest, or left out.

import { useEffect, useState } from "../vendor/preact.js";
import { asks, empty, writeTerm } from "./address.js";
import { change, go, query } from "./store.js";
import { notify } from "./ui.js";

/**
 * @typedef {import("./address.js").Term} Term
 * @typedef {{box: [number, number, number, number], mask: {size: [number, number]}}} Cut where what was
 *   cut out lies: an address has its points alone, a mask comes with an answer
 */

/** By the term's text. @type {Map<string, Cut>} */
const known = new Map();
/** @type {Set<() => void>} */
const listeners = new Set();
const keyOf = (/** @type {Term} */ term) => writeTerm({ ...term, weight: 1 });

/** Note the mask of a term. @param {Term} term @param {Cut} cut */
export function noteCut(term, cut) {
  known.set(keyOf(term), cut);
  for (const listener of listeners) listener();
}

/** Note what an answer has cut out for each cut of its query. @param {Term[]} terms
 * @param {{candidates: Cut[], chosen: number}[]} pointed */
export const noteCuts = (terms, pointed) =>
  terms
    .filter(({ kind }) => kind === "cut")
    .forEach((term, i) => pointed[i] && noteCut(term, pointed[i].candidates[pointed[i].chosen]));

/** The mask of a term, in a view that is drawn again when it is known. @param {Term} term */
export function useCut(term) {
  const [, again] = useState({});
  useEffect(() => {
    const listener = () => again({});
    listeners.add(listener);
    return () => void listeners.delete(listener);
  }, []);
  return known.get(keyOf(term));
}

/**
 * What is chosen, as a term of a query.
 * @param {number} image
 * @param {any} region a stored region, or a fresh mask with `prompt`; null for the picture as a whole
 * @param {number} [weight]
 * @returns {Term}
 */
export function termOf(image, region, weight = 1) {
  if (!region) return { kind: "image", id: String(image), weight };
  if (region.segment_id) return { kind: "segment", id: String(region.segment_id), weight };
  const { points, labels, box, candidate } = region.prompt;
  /** @type {Term} */
  const term = {
    kind: "cut",
    id: String(image),
    weight,
    points,
    labels,
    candidate,
    ...(box ? { box } : {}),
  };
  noteCut(term, region);
  return term;
}

/** Look for what is like this, and nothing else; the filters stay. @param {Term[]} terms */
export function findLike(...terms) {
  const { by, filters } = query();
  go({ ...empty(), by, filters, terms });
}

/** The three things to do with what is chosen in a picture. @param {number} image @param {any} region */
export const actsOf = (image, region) => ({
  like: () => findLike(termOf(image, region)),
  add: () =>
    change({ terms: [...query().terms, termOf(image, region, asks(query()) ? 0.5 : 1)], view: "grid" }),
  not() {
    if (!asks(query())) return notify("Say what to look for first; then this can be left out.");
    const id = region?.segment_id;
    if (id) return change({ unlike: [...query().unlike.filter((other) => other !== id), id] });
    return change({ terms: [...query().terms, termOf(image, region, -0.5)] });
  },
});
