// What lists are made of: pictures with the regions that answer, or regions by themselves.

import { LIKELY_FROM, month, sureness } from "./sayings.js";

/**
 * @typedef {object} Region
 * @property {number} segment_id
 * @property {[number, number, number, number]} box x0, y0, x1, y1 in pixels of the upright picture
 * @property {number} area pixels
 * @property {{size: [number, number], counts: string}} mask COCO's compressed run lengths; size is H, W
 * @property {number} [score]
 * @property {number | null} [relevance]
 * @property {string} [slot] what of a scene it is
 * @property {{parts: number, near_duplicates: number} | null} [folded]
 * @property {{text: string}[]} [captions]
 * @property {string} [kind] a thing, a text, or an element of a page
 * @property {{best_seconds: number} | null} [life] of a video's
 * @property {Line[]} [lines] of an answer: the text that stands in it
 *
 * @typedef {object} Line of text in a picture
 * @property {string} text
 * @property {[number, number][]} corners x, y in pixels of the upright picture, clockwise in the sense of
 *   the writing: the first is above the beginning of the line
 * @property {number} position among the picture's lines, from 1
 * @property {boolean} [found] whether it holds words that were asked for
 * @property {number | null} [segment_id] the smallest region that covers it
 * @property {number | null} [element_id] the element of a page that it belongs to
 *
 * @typedef {object} Item A picture with the regions that answer, or one region.
 * @property {string} key
 * @property {number} image
 * @property {number} width of the upright picture, pixels
 * @property {number} height
 * @property {string | null} path
 * @property {Region[]} regions best first
 * @property {boolean} alone whether the item is a region, shown cut out
 * @property {number} [at] the second of a video
 * @property {number | null} [relevance] of a scene: that of the least sure of its things
 * @property {boolean} [right] whether one of its regions was said to be right
 * @property {boolean} [doubtful] whether it stands below the line where what may be chance begins
 * @property {string} [month] when it is from, where the list is sorted by that
 * @property {string} [heading] a new month begins here
 * @property {any} [document] of the picture, where the library is browsed
 */

/** Whether a region may be chance by itself. @param {Region} region */
const mayBeChance = ({ relevance }) => (relevance ?? 1) < LIKELY_FROM;

/** The lines of regions that hold words which were asked for, each once. @param {Region[]} regions */
export const foundLines = (regions) => [
  ...new Map(
    regions.flatMap(({ lines = [] }) =>
      lines.filter(({ found }) => found).map((line) => [line.position, line]),
    ),
  ).values(),
];

/** @param {number} image @param {number} [at] */
const keyOf = (image, at) => `i${image}${at === undefined ? "" : `@${at}`}`;

/** Of hits or regions, which come picture by picture: of each picture what is no chance, or the best.
 * @param {any[]} hits @param {boolean} alone @param {number[]} [right] regions that were said to be
 * @returns {Item[]} */
export function itemsOf(hits, alone, right = []) {
  /** @type {Item[]} */
  const items = [];
  for (const hit of hits) {
    const before = items[items.length - 1];
    const at = hit.life?.best_seconds; // masks of one moment lie over its frame alone
    if (!alone && before?.image === hit.image_id && before.at === at) before.regions.push(hit);
    else {
      items.push({
        key: alone ? `r${hit.segment_id}` : keyOf(hit.image_id, at),
        at,
        image: hit.image_id,
        width: hit.width,
        height: hit.height,
        path: hit.path,
        regions: [hit],
        alone,
      });
    }
  }
  const fits = (/** @type {Region} */ region) => right.includes(region.segment_id) || !mayBeChance(region);
  for (const item of items) {
    const likely = item.regions.filter(fits);
    item.regions = likely.length ? likely : item.regions.slice(0, 1);
    item.right = item.regions.some(({ segment_id: id }) => right.includes(id));
  }
  return items;
}

/** Whether an answer may be chance by itself. @param {Item} item */
export function isDoubtful({ relevance, regions: [best], right }) {
  return !right && (relevance ?? best?.relevance ?? 1) < LIKELY_FROM;
}

/** How sure an answer is, in words. @param {Item} item @param {Region | null} region
 * @param {boolean} alone whether the region is meant by itself */
export function sureOf(item, region, alone) {
  if (item.doubtful) return sureness(0); // beside others that may be chance
  return sureness(alone || item.relevance === undefined ? region?.relevance : item.relevance);
}

/** Of a picture of the library. @param {any} image @param {boolean} dated whether months stand above
 * @returns {Item} */
export const pictureItem = (image, dated) => ({
  key: `i${image.image_id}`,
  image: image.image_id,
  width: image.width,
  height: image.height,
  path: image.paths[0] ?? null,
  regions: [],
  alone: false,
  document: image,
  month: dated ? month(image.date) : "",
});

/** Of a picture that holds a scene. @param {any} scene @returns {Item} */
const sceneItem = (scene) => ({
  key: keyOf(scene.image_id, scene.seconds ?? undefined),
  image: scene.image_id,
  width: scene.width,
  height: scene.height,
  path: scene.path,
  alone: false,
  relevance: scene.relevance,
  at: scene.seconds ?? undefined,
  regions: Object.entries(scene.regions).map(([slot, region]) => ({ ...region, slot })),
});

/** Of pictures that hold a scene, those first of whose least sure thing one can be surest.
 * @param {any[]} scenes */
export const scenesOf = (scenes) =>
  scenes.map(sceneItem).sort((one, other) => (other.relevance ?? 1) - (one.relevance ?? 1));
