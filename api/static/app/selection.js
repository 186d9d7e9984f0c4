// Which pictures are chosen, to do something with them together.

import { useEffect, useState } from "../vendor/preact.js";
import { count } from "./sayings.js";

/**
 * @typedef {object} Chosen
 * @property {string} key
 * @property {number} image
 * @property {number} segment 0 for a whole picture
 * @property {number[]} found the regions in it that answered
 */

/** @type {Map<string, Chosen>} */
let chosen = new Map();
/** What the grid shows. @type {import("./items.js").Item[]} */
let shown = [];
/** @type {Set<() => void>} */
const listeners = new Set();

const set = (/** @type {Map<string, Chosen>} */ next) => {
  chosen = next;
  for (const listener of listeners) listener();
};

/** @param {import("./items.js").Item} item @returns {Chosen} */
const entry = ({ key, image, alone, regions }) => {
  const found = regions.map(({ segment_id: id }) => id);
  return { key, image, segment: alone ? found[0] : 0, found };
};

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

/** The grid shows other items now. @param {import("./items.js").Item[]} items */
export function noteShown(items) {
  if (items.length === shown.length && items.every((item, i) => item.key === shown[i].key)) return;
  shown = items;
  if (chosen.size) set(chosen);
}

/** How much of what is chosen the grid does not show, in words. */
export function unseen() {
  const keys = new Set(shown.map(({ key }) => key));
  const many = [...chosen.keys()].filter((key) => !keys.has(key)).length;
  return many ? `, ${many === chosen.size ? "none of them" : `${many} of them not`} shown here` : "";
}

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

/** What is selected, in words. @param {Chosen[]} some */
export function told(some) {
  const regions = some.filter(({ segment }) => segment).length,
    pictures = some.length - regions;
  const parted = [pictures ? count(pictures, "picture") : "", regions ? count(regions, "region") : ""];
  return parted.filter(Boolean).join(", ");
}
