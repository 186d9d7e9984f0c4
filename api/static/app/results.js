// The answers to a query as one list that grows: pages are fetched when they are wanted. Lists are kept
// while one goes back and forth; what is removed is in none of them.

import { asks, question } from "./address.js";
import { call, isAbort, post, Refusal } from "./api.js";
import { isDoubtful, itemsOf, pictureItem, scenesOf } from "./items.js";
import { browseBody, sceneBody, searchBody } from "./request.js";
import { noteCuts } from "./likeness.js";

/** @typedef {import("./address.js").Query} Query @typedef {import("./items.js").Item} Item */

const FIRST_PAGE = 40,
  NEXT_PAGE = 80,
  LONGEST_PAGE = 1000,
  SCENES = 200;
// Answers in a row that may be chance: what comes after them counts as such, too. How likely answers
// are need not fall with their scores, which they are ordered by.
const CHANCES = 20;
const FAR = 2000, // items; a place further on is jumped to, where the server can
  BEFORE = 120; // items that are fetched before it, and at once when one scrolls up there

/** Pictures that are being removed: no list shows them. @type {Set<number>} */
const leaving = new Set();

/** Whether the question is for the pictures of the library, in an order. @param {Query} query */
const browses = ({ things, by, filters, ...query }) =>
  !asks({ things, by, filters, ...query }) &&
  by === "picture" &&
  !filters.map_area &&
  filters.map_cluster === undefined;

export class Results {
  /** @param {Query} query */
  constructor(query) {
    this.query = query;
    /** How many come before the first that is there: a place far down is jumped to. */
    this.start = browses(query) && query.at > FAR ? query.at - BEFORE : 0;
    this.jumped = this.start > 0;
    /** All that came, in order. @type {Item[]} */
    this.every = [];
    /** What is shown of it. @type {Item[]} */
    this.items = [];
    /** Pictures that this list leaves out. @type {Set<Set<number>>} */
    this.left = new Set();
    /** How many of the last that came may be chance. */
    this.chances = 0;
    /** Where what may be chance begins, which comes after the rest; -1 for nowhere. */
    this.doubtfulFrom = -1;
    /** @type {string | null} */
    this.message = null;
    /** @type {Refusal | null} */
    this.problem = null;
    /** How many there are on all pages, as the server counts. @type {number | null} */
    this.counted = null;
    /** @type {number | null} */
    this.seconds = null;
    /** @type {number | null} */
    this.relevance = null;
    this.loading = false;
    this.done = false;
    /** @type {string | null} */
    this.cursor = null;
    /** @type {Set<() => void>} */
    this.listeners = new Set();
    this.stop = new AbortController();
    /** @type {Set<string>} */
    this.keys = new Set();
    /** How many judged regions are in the library no more. */
    this.gone = 0;
    this.version = 0;
  }

  /** How many there are, without those that are left out; null where nobody knows. */
  get total() {
    if (this.counted === null) return null;
    return Math.max(this.items.length, this.counted - this.every.length + this.items.length);
  }

  /** Whether a place is there, or is soon when one goes on. @param {number} at */
  reaches(at) {
    if (!browses(this.query) || this.done) return at >= this.start;
    return at >= this.start && (this.jumped || at <= this.every.length + FAR);
  }

  /** Where there is more, and it is wanted: what is likely, or what was asked for all the same. */
  get open() {
    return !this.done && !this.problem && (this.query.all || this.chances < CHANCES);
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
    const first = this.items.length === 0;
    const limit = Math.min(LONGEST_PAGE, Math.max(first ? FIRST_PAGE : NEXT_PAGE, least - this.items.length));
    await this.load(() => this.fetch(limit));
  }

  /** Fetch what comes before the first that is there, where a place was jumped to. */
  async earlier() {
    if (this.loading || !this.start) return;
    await this.load(async () => {
      const limit = Math.min(this.start, BEFORE),
        start = this.start - limit;
      const body = browseBody(this.query, { limit, offset: start });
      const answer = await post("v1/browse", body, { signal: this.stop.signal });
      const fresh = this.pictures(answer.images).filter(({ key }) => !this.keys.has(key));
      for (const { key } of fresh) this.keys.add(key);
      this.every = [...fresh, ...this.every];
      this.start = start;
      this.counted = answer.total;
      this.arrange();
    });
  }

  /** @param {() => Promise<void>} fetch */
  async load(fetch) {
    this.loading = true;
    this.problem = null;
    this.tell();
    try {
      await fetch();
    } catch (problem) {
      if (!isAbort(problem))
        this.problem = problem instanceof Refusal ? problem : new Refusal(String(problem));
      else this.stop = new AbortController();
    }
    this.loading = false;
    this.tell();
  }

  /** @param {number} limit @returns {Promise<void>} */
  async fetch(limit) {
    const { query } = this,
      options = { signal: this.stop.signal };
    if (query.things.length) {
      const answer = await post("v1/search/scene", sceneBody(query, SCENES), options);
      this.message = answer.message;
      this.seconds = answer.seconds;
      const known = Object.values(answer.relevance).filter((value) => value !== null);
      this.relevance = known.length ? Math.min(...known) : null;
      return this.take(scenesOf(answer.scenes), null);
    }
    if (asks(query)) {
      const answer = await this.search({ limit, cursor: this.cursor }, options);
      this.message = answer.message;
      this.seconds ??= answer.seconds;
      this.relevance = answer.relevance;
      noteCuts(query.terms, answer.pointed);
      return this.take(itemsOf(answer.hits, query.by === "region", query.like), answer.next_cursor);
    }
    if (query.by === "region" || query.filters.map_area || query.filters.map_cluster !== undefined) {
      const body = { filters: query.filters, limit, ...(this.cursor ? { cursor: this.cursor } : {}) };
      const answer = await post("v1/regions", body, options);
      this.counted = answer.total;
      return this.take(itemsOf(answer.regions, true), answer.next_cursor);
    }
    const offset = this.cursor ? 0 : this.start;
    const answer = await post(
      "v1/browse",
      browseBody(query, { limit, cursor: this.cursor, offset }),
      options,
    );
    this.counted = answer.total;
    if (offset && !answer.images.length) {
      // there are fewer by now: the last of them
      this.start = Math.max(0, answer.total - BEFORE);
      return this.fetch(limit);
    }
    this.take(this.pictures(answer.images), answer.next_cursor);
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
      if (!(problem instanceof Refusal) || problem.code !== "not_found_error" || !judged.length)
        throw problem;
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

  /** @param {any[]} images */
  pictures(images) {
    const dated = this.query.order === "newest" || this.query.order === "oldest";
    return images.map((image) => pictureItem(image, dated));
  }

  /** @param {Item[]} items @param {string | null} cursor */
  take(items, cursor) {
    for (const item of items) {
      if (this.keys.has(item.key)) continue;
      this.keys.add(item.key);
      this.every.push(item);
      item.doubtful = this.chances >= CHANCES || isDoubtful(item);
      this.chances = item.doubtful ? this.chances + 1 : 0;
    }
    this.cursor = cursor;
    this.done = cursor === null;
    this.arrange();
  }

  /** Choose what is shown, see where what may be chance begins, and put months above it. */
  arrange() {
    const left = [leaving, ...this.left];
    const items = this.every.filter((item) => !left.some((images) => images.has(item.image)));
    const likely = items.filter(({ doubtful }) => !doubtful);
    this.items = [...likely, ...items.filter(({ doubtful }) => doubtful)];
    this.doubtfulFrom = likely.length < items.length ? likely.length : -1;
    let above = "";
    for (const item of this.items) {
      item.heading = item.month && item.month !== above ? item.month : undefined;
      above = item.month || above;
    }
  }

  /** Leave out pictures; what comes back puts them where they were. @param {Iterable<number>} images */
  without(images) {
    const left = new Set(images);
    this.left.add(left);
    this.arrange();
    this.tell();
    return () => {
      this.left.delete(left);
      this.arrange();
      this.tell();
    };
  }
}

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
