// Answers to a query as one list that grows: pages are fetched when they are wanted, and kept while
// one goes back and forth.

import { asks, question } from "./address.js";
import { call, isAbort, post, Refusal } from "./api.js";
import { browseBody, sceneBody, searchBody } from "./request.js";
import { LIKELY_FROM, month } from "./sayings.js";

/**
 * @typedef {import("./address.js").Query} Query
 *
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
 *
 * @typedef {object} Item A picture with the regions that answer, or one region.
 * @property {string} key
 * @property {number} image
 * @property {number} width of the upright picture, pixels
 * @property {number} height
 * @property {string | null} path
 * @property {Region[]} regions best first
 * @property {boolean} alone whether the item is a region, shown cut out
 * @property {string} [heading] a new month begins here
 * @property {any} [document] of the picture, where the library is browsed
 */

const FIRST_PAGE = 40, NEXT_PAGE = 80, LONGEST_PAGE = 1000, SCENES = 200;
const KEPT = 6; // lists, for Back and Forward

/** @param {any} hit @returns {Region} */
const regionOf = (hit) => hit;

/** @param {any[]} hits @param {boolean} alone @returns {Item[]} */
function itemsOf(hits, alone) {
  /** @type {Item[]} */
  const items = [];
  for (const hit of hits) {
    const before = items[items.length - 1];
    if (!alone && before?.image === hit.image_id) before.regions.push(regionOf(hit));
    else {
      items.push({
        key: alone ? `r${hit.segment_id}` : `i${hit.image_id}`, image: hit.image_id, width: hit.width,
        height: hit.height, path: hit.path, regions: [regionOf(hit)], alone,
      });
    }
  }
  return items;
}

/** Whether an answer may be chance. @param {Item} item */
export const isDoubtful = ({ regions: [best] }) =>
  best?.relevance !== null && best?.relevance !== undefined && best.relevance < LIKELY_FROM;

export class Results {
  /** @param {Query} query */
  constructor(query) {
    this.query = query;
    /** @type {Item[]} */
    this.items = [];
    /** Where what may be chance begins; -1 for nowhere. */
    this.doubtfulFrom = -1;
    /** @type {string | null} */
    this.message = null;
    /** @type {Refusal | null} */
    this.problem = null;
    /** @type {number | null} */
    this.total = null;
    /** @type {number | null} */
    this.seconds = null;
    /** @type {number | null} */
    this.relevance = null;
    this.loading = false;
    this.done = false;
    /** @type {string | null} */
    this.cursor = null;
    /** Of the question as a whole, such as what was cut out. @type {any[]} */
    this.pointed = [];
    /** @type {Set<() => void>} */
    this.listeners = new Set();
    this.stop = new AbortController();
    /** @type {Set<string>} */
    this.keys = new Set();
    this.month = "";
    /** How many judged regions are in the library no more. */
    this.gone = 0;
    this.version = 0;
  }

  /** Where there is more, and it is wanted: what is likely, or what was asked for all the same. */
  get open() {
    return !this.done && !this.problem && (this.query.all || this.doubtfulFrom < 0);
  }

  /** How many items are shown: what may be chance stays folded until it is asked for. */
  get shown() {
    return this.query.all || this.doubtfulFrom < 0 ? this.items.length : this.doubtfulFrom;
  }

  tell() {
    for (const listener of this.listeners) listener();
  }

  /** Fetch a page, large enough for `least` items in all. @param {number} [least] */
  async more(least = 0) {
    if (this.loading || this.done) return;
    this.loading = true;
    this.problem = null;
    this.tell();
    const first = this.items.length === 0;
    const limit = Math.min(LONGEST_PAGE, Math.max(first ? FIRST_PAGE : NEXT_PAGE, least - this.items.length));
    try {
      await this.fetch(limit);
    } catch (problem) {
      if (!isAbort(problem)) this.problem = problem instanceof Refusal ? problem : new Refusal(String(problem));
      else this.stop = new AbortController();
    }
    this.loading = false;
    this.tell();
  }

  /** @param {number} limit */
  async fetch(limit) {
    const { query } = this, options = { signal: this.stop.signal };
    if (query.things.length) return this.takeScenes(await post("v1/search/scene", sceneBody(query, SCENES), options));
    if (asks(query)) {
      const answer = await this.search({ limit, cursor: this.cursor }, options);
      this.message = answer.message;
      this.seconds ??= answer.seconds;
      this.relevance = answer.relevance;
      if (!this.pointed.length) this.pointed = answer.pointed;
      return this.take(itemsOf(answer.hits, query.by === "region"), answer.next_cursor);
    }
    if (query.by === "region" || query.filters.map_area || query.filters.map_cluster !== undefined) {
      const body = { filters: query.filters, limit, ...(this.cursor ? { cursor: this.cursor } : {}) };
      const answer = await post("v1/regions", body, options);
      this.total = answer.total;
      return this.take(itemsOf(answer.regions, true), answer.next_cursor);
    }
    const answer = await post("v1/browse", browseBody(query, { limit, cursor: this.cursor }), options);
    this.total = answer.total;
    this.take(answer.images.map((/** @type {any} */ image) => this.pictureItem(image)), answer.next_cursor);
  }

  /**
   * The answer to the question; what was said of regions that are gone meanwhile counts no more.
   * @param {{limit: number, cursor: string | null}} page
   * @param {RequestInit} options
   */
  async search(page, options) {
    const ask = () => post("v1/search", searchBody(this.query, page), options);
    try {
      return await ask();
    } catch (problem) {
      const judged = [...this.query.like, ...this.query.unlike];
      if (!(problem instanceof Refusal) || problem.code !== "not_found_error" || !judged.length) throw problem;
      const gone = new Set();
      for (const id of judged) {
        await call(`v1/segments/${id}`, options).catch((refusal) => {
          if (!(refusal instanceof Refusal) || refusal.status !== 404) throw refusal;
          gone.add(id);
        });
      }
      if (!gone.size) throw problem;
      const left = (/** @type {number[]} */ ids) => ids.filter((id) => !gone.has(id));
      this.query = { ...this.query, like: left(this.query.like), unlike: left(this.query.unlike) };
      this.gone = gone.size;
      return ask();
    }
  }

  /** @param {any} image @returns {Item} */
  pictureItem(image) {
    const begins = this.query.order === "newest" || this.query.order === "oldest" ? month(image.date) : "";
    const heading = begins && begins !== this.month ? begins : undefined;
    this.month = begins || this.month;
    return {
      key: `i${image.image_id}`, image: image.image_id, width: image.width, height: image.height,
      path: image.paths[0] ?? null, regions: [], alone: false, heading, document: image,
    };
  }

  /** @param {any} answer */
  takeScenes(answer) {
    this.message = answer.message;
    this.seconds = answer.seconds;
    const items = answer.scenes.map((/** @type {any} */ scene) => ({
      key: `i${scene.image_id}`, image: scene.image_id, width: scene.width, height: scene.height,
      path: scene.path, alone: false,
      regions: Object.entries(scene.regions).map(([slot, region]) => ({ .../** @type {any} */ (region), slot })),
    }));
    this.take(items, null);
  }

  /** @param {Item[]} items @param {string | null} cursor */
  take(items, cursor) {
    for (const item of items) {
      if (this.keys.has(item.key)) continue;
      this.keys.add(item.key);
      if (this.doubtfulFrom < 0 && !this.query.things.length && isDoubtful(item)) this.doubtfulFrom = this.items.length;
      this.items.push(item);
    }
    this.cursor = cursor;
    this.done = cursor === null;
  }

  /** Leave out pictures that are gone; what comes back puts them where they were. @param {Set<number>} images */
  without(images) {
    const before = this.items;
    this.items = before.filter((item) => !images.has(item.image));
    const headings = new Map(before.flatMap((item, i) => (item.heading ? [[i, item.heading]] : [])));
    // A month whose first picture went still has its heading.
    for (const [i, heading] of headings) {
      const next = before.slice(i).find((item, j) => !images.has(item.image) && (j === 0 || item.heading === undefined));
      if (images.has(before[i].image) && next) next.heading ??= heading;
    }
    this.tell();
    return () => {
      this.items = before;
      this.tell();
    };
  }
}

/** @type {Map<string, Results>} */
const kept = new Map();
let version = 0; // how often the library has changed while the page is open

/** The library has changed: lists are asked for anew when they are next shown from the top. */
export function forget() {
  version++;
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
  if (!found || (fresh && isStale(found))) {
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
