// Where what was cut out lies: an address has its points alone, a mask comes with an answer.

import { useEffect, useState } from "../vendor/preact.js";
import { writeTerm } from "./address.js";

/**
 * @typedef {import("./address.js").Term} Term
 * @typedef {{box: [number, number, number, number], mask: {size: [number, number]}}} Cut
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
