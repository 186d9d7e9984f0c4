// Numbers, names and scores as people say them. Pure.

/** `1,234 pictures`. @param {number} n @param {string} noun in the singular */
export const count = (n, noun) => `${n.toLocaleString("en")} ${noun}${n === 1 ? "" : "s"}`;

/** `0:12`, or `1:02:03`. @param {number} seconds */
export const clock = (seconds) =>
  new Date(1000 * seconds)
    .toISOString()
    .slice(seconds < 3600 ? 14 : 11, 19)
    .replace(/^0/, "");

/** The file's own name, and which page or part of it. @param {string | null | undefined} path */
export const nameOf = (path) =>
  (path || "")
    .split(/[\\/]/)
    .pop()
    ?.replace(/(\.pdf)#page=(?=\d+$)/i, "$1, page ")
    .replace(/#t=([\d.]+),([\d.]+)$/, (_, from, to) => ` at ${clock(from)}-${clock(to)}`) || "picture";

/** @param {number} part of the picture, in [0, 1] */
export const share = (part) => `${(100 * part).toLocaleString("en", { maximumSignificantDigits: 2 })} %`;

// From which relevance on which words say how sure the answer is; LIKELY_FROM is the server's own line.
export const LIKELY_FROM = 0.15;
const SURE = /** @type {const} */ ([
  [0.9, "very likely"],
  [0.5, "likely"],
  [LIKELY_FROM, "perhaps"],
  [-1, "probably not"],
]);

/** How sure an answer is, in words; "" where nobody can tell. @param {number | null | undefined} relevance */
export const sureness = (relevance) =>
  relevance === null || relevance === undefined
    ? ""
    : (SURE.find(([least]) => relevance >= least)?.[1] ?? "");

const UNITS = ["bytes", "kB", "MB", "GB", "TB"];
/** @param {number} bytes */
export function size(bytes) {
  const step = Math.min(UNITS.length - 1, Math.floor(Math.log10(Math.max(1, bytes)) / 3));
  const value = bytes / 1000 ** step;
  return `${value.toLocaleString("en", { maximumFractionDigits: value < 10 && step ? 1 : 0 })} ${UNITS[step]}`;
}

/**
 * A day as people write it.
 * @param {string | null | undefined} iso
 * @param {Intl.DateTimeFormatOptions} [options]
 */
export function day(iso, options = { day: "numeric", month: "long", year: "numeric" }) {
  const date = iso ? new Date(iso) : null;
  return date && !Number.isNaN(date.getTime()) ? date.toLocaleDateString("en-GB", options) : "";
}

/** `July 2024`. @param {string | null | undefined} iso */
export const month = (iso) => day(iso, { month: "long", year: "numeric" });

/** @param {number} seconds */
export const time = (seconds) =>
  seconds < 1 ? `${Math.round(seconds * 1000)} ms` : `${seconds.toFixed(1)} s`;

/** The words of a group of the map. @param {{cluster: number, words: string[]}} group */
export const wordsOf = ({ cluster, words }) => words.slice(0, 2).join(", ") || `group ${cluster + 1}`;

/** The collection that a map is of; "" for the whole library. @param {import("./address.js").Query} now */
export const collectionOf = ({ filters: { collections = [] } }) =>
  collections.length === 1 ? collections[0] : "";
