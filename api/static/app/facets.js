// What the library's pictures have in common: albums, tags, cameras, collections, months; fetched once
// until the library changes.

import { useEffect, useState } from "../vendor/preact.js";
import { call, sentence } from "./api.js";
import { forget } from "./results.js";

/**
 * @typedef {{name: string, images: number}} Named
 * @typedef {{albums: Named[], tags: Named[], cameras: Named[], collections: Named[],
 *   months: {month: string, images: number}[]}} Facets
 */

/** @typedef {{facets: Facets | null, problem: string}} Loaded */

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

/** What pictures belong to has changed here: facets and lists are asked for anew. */
export function libraryChanged() {
  forget();
  forgetFacets();
}

/**
 * The facets, in a view that is drawn again when they come or change: null until they are there.
 * @returns {Loaded}
 */
export function useLoadedFacets() {
  const [state, set] = useState(/** @type {Loaded} */ ({ facets: null, problem: "" }));
  useEffect(() => {
    let here = true;
    const load = () => {
      kept ??= call("v1/facets");
      const asked = kept;
      asked.then(
        (facets) => {
          if (here && asked === kept) set({ facets, problem: "" });
        },
        (problem) => {
          if (asked === kept) kept = null; // asked again next time
          if (here) set((/** @type {Loaded} */ { facets }) => ({ facets, problem: sentence(problem) }));
        },
      );
    };
    load();
    listeners.add(load);
    return () => {
      here = false;
      listeners.delete(load);
    };
  }, []);
  return state;
}

/** The facets, or none until they are there. @returns {Facets} */
export const useFacets = () => useLoadedFacets().facets ?? NONE;
