// Which pictures are chosen, to do something with them together.

import { useEffect, useState } from "../vendor/preact.js";

/** @typedef {{image: number, segment: number}} Chosen `segment` is 0 for a whole picture */

/** @type {Map<string, Chosen>} */
let chosen = new Map();
/** @type {Set<() => void>} */
const listeners = new Set();

const set = (/** @type {Map<string, Chosen>} */ next) => {
  chosen = next;
  for (const listener of listeners) listener();
};

/** @param {import("./items.js").Item} item @returns {Chosen} */
const entry = (item) => ({ image: item.image, segment: item.alone ? item.regions[0].segment_id : 0 });

export const isChosen = (/** @type {string} */ key) => chosen.has(key);
export const anyChosen = () => chosen.size > 0;
export const allChosen = () => [...chosen.values()];

/** Choose an item, or no longer. @param {import("./items.js").Item} item */
export function toggle(item) {
  const next = new Map(chosen);
  if (!next.delete(item.key)) next.set(item.key, entry(item));
  set(next);
}

/** Choose several besides. @param {import("./items.js").Item[]} items */
export function choose(items) {
  const next = new Map(chosen);
  for (const item of items) next.set(item.key, entry(item));
  set(next);
}

/** Choose pictures no longer, nor regions in them; what comes back chooses them again.
 * @param {Set<number>} images */
export function drop(images) {
  const dropped = [...chosen].filter(([, { image }]) => images.has(image));
  if (dropped.length) set(new Map([...chosen].filter(([, { image }]) => !images.has(image))));
  return () => {
    if (dropped.length) set(new Map([...chosen, ...dropped]));
  };
}

/** Choose nothing. */
export const clearChosen = () => {
  if (chosen.size) set(new Map());
};

/** What is chosen, in a view that is drawn again when it changes. @returns {Chosen[]} */
export function useChosen() {
  const [, again] = useState({});
  useEffect(() => {
    const listener = () => again({});
    listeners.add(listener);
    return () => void listeners.delete(listener);
  }, []);
  return allChosen();
}
