// What the library's pictures have in common: albums, tags, cameras, collections, months; fetched once
// until the library changes.

import { useEffect, useState } from "../vendor/preact.js";
import { call } from "./api.js";

/**
 * @typedef {{name: string, images: number}} Named
 * @typedef {{albums: Named[], tags: Named[], cameras: Named[], collections: Named[],
 *   months: {month: string, images: number}[]}} Facets
 */

/** @type {Facets} */
const NONE = { albums: [], tags: [], cameras: [], collections: [], months: [] };
/** @type {Promise<Facets> | null} */
let kept = null;
/** @type {Set<() => void>} */
const listeners = new Set();

/** The library has changed. */
export function forgetFacets() {
  kept = null;
  for (const listener of listeners) listener();
}

/** The facets, in a view that is drawn again when they come or change. @returns {Facets} */
export function useFacets() {
  const [facets, set] = useState(NONE);
  useEffect(() => {
    let here = true;
    const load = () => {
      kept ??= call("v1/facets").catch(() => {
        kept = null; // asked again next time; who needs them sees none
        return NONE;
      });
      kept.then((/** @type {Facets} */ found) => { if (here) set(found); });
    };
    load();
    listeners.add(load);
    return () => {
      here = false;
      listeners.delete(load);
    };
  }, []);
  return facets;
}
