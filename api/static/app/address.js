// The address is the text form of everything that is asked: one query, and what is open.
// Pure: no window, no requests. What cannot be read is told in a sentence, never guessed.

/**
 * @typedef {object} Term What to look like, beside the words.
 * @property {"segment" | "image" | "picture" | "cut"} kind a stored region, a stored picture as a
 *   whole, an uploaded picture, or what was cut out of a stored picture
 * @property {string} id of the region, or of the picture
 * @property {number} weight beside the words' 1; negative steers away
 * @property {[number, number][]} [points] x, y in pixels of the upright picture, for a cut
 * @property {(0 | 1)[]} [labels] 1 for a point of the thing, 0 for one that is not of it
 * @property {[number, number, number, number]} [box] x0, y0, x1, y1 in pixels
 * @property {number} [candidate] which of the masks, best first
 *
 * @typedef {object} Thing A slot of a scene.
 * @property {string} name the words for it
 * @property {boolean} absent whether it must not be there
 *
 * @typedef {{one: string, link: string, other: string}} Relation
 *
 * @typedef {object} Filters The API's filters, those that the page offers.
 * @property {string[]} [albums]
 * @property {string[]} [tags]
 * @property {string[]} [no_tags]
 * @property {string[]} [collections]
 * @property {string[]} [cameras]
 * @property {string[]} [paths]
 * @property {string[]} [places]
 * @property {string} [taken_after] a day, YYYY-MM-DD
 * @property {string} [taken_before] a day; the day itself is not in it
 * @property {number} [min_area] a share of the picture
 * @property {number} [max_area]
 * @property {number} [min_width] pixels
 * @property {number} [min_height]
 * @property {number[]} [near] latitude, longitude, kilometres
 * @property {number[]} [box] x0, y0, x1, y1 as shares of the picture's sides
 * @property {number[]} [image_ids]
 * @property {number[][]} [map_area] corners on the map, each x, y in [-1, 1]
 * @property {number} [map_cluster]
 * @property {boolean} [has_text] whether words stand in the region
 * @property {string[]} [kinds] of regions, such as headings of pages
 *
 * @typedef {object} Query
 * @property {string} words as typed, with `-` before what is not wanted
 * @property {Term[]} terms
 * @property {number[]} like regions that were said to be right
 * @property {number[]} unlike regions that were said to be wrong
 * @property {Filters} filters
 * @property {Thing[]} things of a scene
 * @property {Relation[]} relations of a scene
 * @property {"picture" | "region"} by how answers are grouped
 * @property {"thing" | "any" | "whole" | "part"} prefer
 * @property {boolean} all whether what may be chance is shown, too
 * @property {boolean} copies whether near-duplicates are shown, too
 * @property {"grid" | "map" | "status"} view
 * @property {string} shelf what the library is arranged by, where nothing is asked
 * @property {string} order of the library's pictures
 * @property {number} image the picture that is open; 0 for none
 * @property {number} segment the region that is chosen in it; 0 for none
 * @property {number} at which of the answers stands at the top of the window
 */

export const SHELVES = ["time", "albums", "tags", "collections", "things", "duplicates"];
export const ORDERS = ["newest", "oldest", "added", "name"];
export const LINKS = [
  "left of",
  "right of",
  "above",
  "below",
  "inside",
  "contains",
  "overlapping",
  "near",
  "larger than",
  "smaller than",
];
export const PLACES = [
  "top left",
  "top",
  "top right",
  "left",
  "center",
  "right",
  "bottom left",
  "bottom",
  "bottom right",
];

/** @returns {Query} a query that asks for nothing: the library by time */
export const empty = () => ({
  words: "",
  terms: [],
  like: [],
  unlike: [],
  filters: {},
  things: [],
  relations: [],
  by: "picture",
  prefer: "thing",
  all: false,
  copies: false,
  view: "grid",
  shelf: "time",
  order: "newest",
  image: 0,
  segment: 0,
  at: 0,
});

const number = (/** @type {string} */ text) => (/^-?\d+(\.\d+)?$/.test(text) ? Number(text) : NaN);
const id = (/** @type {string} */ text) => (/^[1-9]\d{0,14}$/.test(text) ? Number(text) : NaN);
const day = (/** @type {string} */ text) =>
  /^\d{4}-\d\d-\d\d$/.test(text) && !Number.isNaN(Date.parse(text)) ? text : null;
const numbers = (/** @type {string} */ text, /** @type {number} */ count) => {
  const values = text.split("~").map(number);
  return values.length === count && !values.some(Number.isNaN) ? values : null;
};

// Of each filter: its name in the address, how it is read and written, and what is expected.
const LISTS = /** @type {const} */ ([
  ["album", "albums"],
  ["tag", "tags"],
  ["notag", "no_tags"],
  ["collection", "collections"],
  ["camera", "cameras"],
  ["path", "paths"],
  ["place", "places"],
]);
const DAYS = /** @type {const} */ ([
  ["after", "taken_after"],
  ["before", "taken_before"],
]);
const SHARES = /** @type {const} */ ([
  ["minarea", "min_area"],
  ["maxarea", "max_area"],
]);
const SIDES = /** @type {const} */ ([
  ["minwidth", "min_width"],
  ["minheight", "min_height"],
]);
export const KINDS = ["text", "heading", "paragraph", "cell", "figure", "thing"];
const QUADS = /** @type {const} */ ([
  ["near", "near", 3],
  ["within", "box", 4],
]);

/**
 * A term from its text: `segment-12`, `image-3*0.5`, `picture-ab12`, or a cut
 * `cut-3_p120.80_n40.40_b10.10.200.180_c1`.
 * @param {string} text
 * @returns {Term | null}
 */
function readTerm(text) {
  const [said, weighed = "1"] = text.split("*");
  const weight = number(weighed);
  const found = /^(segment|image|picture|cut)-([0-9a-f]{1,64})((?:_[pnbc][\d.]+)*)$/.exec(said);
  if (!found || Number.isNaN(weight) || weight === 0 || Math.abs(weight) > 10) return null;
  const [, kind, name, rest] = found;
  if (kind !== "picture" && Number.isNaN(id(name))) return null;
  /** @type {Term} */
  const term = { kind: /** @type {Term["kind"]} */ (kind), id: name, weight };
  if (kind !== "cut") return rest ? null : term;
  term.points = [];
  term.labels = [];
  for (const part of rest.split("_").slice(1)) {
    const values = part.slice(1).split(".").map(Number);
    if (part[0] === "b" && values.length === 4) term.box = /** @type {Term["box"]} */ (values);
    else if (part[0] === "c" && values.length === 1 && values[0] < 64) term.candidate = values[0];
    else if ("pn".includes(part[0]) && values.length === 2) {
      term.points.push(/** @type {[number, number]} */ (values));
      term.labels.push(part[0] === "p" ? 1 : 0);
    } else return null;
  }
  return term.points.length || term.box ? term : null;
}

/** @param {Term} term */
export function writeTerm(term) {
  const points = (term.points ?? []).map(([x, y], i) => `_${term.labels?.[i] === 0 ? "n" : "p"}${x}.${y}`);
  const box = term.box ? `_b${term.box.join(".")}` : "";
  const candidate = term.candidate === undefined ? "" : `_c${term.candidate}`;
  const weight = term.weight === 1 ? "" : `*${term.weight}`;
  return `${term.kind}-${term.id}${points.join("")}${box}${candidate}${weight}`;
}

/** @param {string} text `dog~left of~frisbee` */
function readRelation(text) {
  const [one, link, other, more] = text.split("~");
  return one && other && more === undefined && LINKS.includes(link) ? { one, link, other } : null;
}

const readCorners = (/** @type {string} */ text) => {
  const corners = text.split("_").map((corner) => numbers(corner, 2));
  return corners.length > 2 && corners.length <= 200 && corners.every(Boolean)
    ? /** @type {number[][]} */ (corners)
    : null;
};

/**
 * The query that an address asks, and a sentence for each part of it that cannot be read.
 * @param {string} search the address from `?` on
 * @returns {{query: Query, odd: string[]}}
 */
export function parse(search) {
  const given = new URLSearchParams(search),
    query = empty();
  /** @type {string[]} */
  const odd = [];
  const { filters } = query;
  /** @template T @param {string} name @param {(text: string) => T | null | undefined} read
   * @param {string} expected @returns {T[]} */
  const all = (name, read, expected) =>
    given.getAll(name).flatMap((text) => {
      const value = read(text);
      if (value !== null && value !== undefined && !Number.isNaN(value)) return [value];
      odd.push(`The address says “${name}=${text.slice(0, 40)}”, expected ${expected}.`);
      return [];
    });
  const ids = (/** @type {string} */ name) =>
    given
      .getAll(name)
      .flatMap((text) => text.split("-"))
      .flatMap((text) => {
        const value = id(text);
        if (!Number.isNaN(value)) return [value];
        odd.push(`The address says “${name}=${text.slice(0, 40)}”, expected the number of a region.`);
        return [];
      });
  /** @template {string} T @param {string} name @param {readonly T[]} values @param {T} usual */
  const oneOf = (name, values, usual) =>
    all(
      name,
      (text) => (values.includes(/** @type {T} */ (text)) ? /** @type {T} */ (text) : null),
      values.join(", "),
    )[0] ?? usual;

  query.words = (given.get("q") ?? "").slice(0, 1000);
  query.terms = all("with", readTerm, "something to look like, such as segment-12");
  query.like = ids("right");
  query.unlike = ids("wrong");
  for (const [name, field] of LISTS) {
    const values = given.getAll(name).filter(Boolean);
    if (values.length) filters[field] = values;
  }
  for (const [name, field] of DAYS) {
    const [value] = all(name, day, "a day such as 2024-07-14");
    if (value) filters[field] = value;
  }
  const share = (/** @type {string} */ text) =>
    number(text) >= 0 && number(text) <= 1 ? number(text) : null;
  for (const [name, field] of SHARES) {
    const [value] = all(name, share, "a share such as 0.05");
    if (value !== undefined) filters[field] = value;
  }
  for (const [name, field] of SIDES) {
    const [value] = all(name, (text) => (/^\d{1,6}$/.test(text) ? Number(text) : null), "pixels");
    if (value !== undefined) filters[field] = value;
  }
  for (const [name, field, count] of QUADS) {
    const [value] = all(name, (text) => numbers(text, count), `${count} numbers joined by ~`);
    if (value) filters[field] = value;
  }
  const kinds = all("kind", (text) => (KINDS.includes(text) ? text : null), KINDS.join(", "));
  if (kinds.length) filters.kinds = kinds;
  if (given.has("text")) filters.has_text = true;
  const only = ids("only");
  if (only.length) filters.image_ids = only;
  const [area] = all("lasso", readCorners, "corners on the map");
  if (area) filters.map_area = area;
  const [cluster] = all("cluster", (text) => (/^\d{1,5}$/.test(text) ? Number(text) : null), "a number");
  if (cluster !== undefined) filters.map_cluster = cluster;
  query.things = given
    .getAll("thing")
    .filter(Boolean)
    .map((name) => (name.startsWith("-") ? { name: name.slice(1), absent: true } : { name, absent: false }));
  query.relations = all("where", readRelation, "such as dog~left of~frisbee");
  query.by = oneOf("by", /** @type {const} */ (["picture", "region"]), "picture");
  query.prefer = oneOf("prefer", /** @type {const} */ (["thing", "any", "whole", "part"]), "thing");
  query.view = oneOf("view", /** @type {const} */ (["grid", "map", "status"]), "grid");
  query.shelf = oneOf("shelf", SHELVES, "time");
  query.order = oneOf("order", ORDERS, "newest");
  query.all = given.has("all");
  query.copies = given.has("copies");
  query.image = all("image", id, "the number of a picture")[0] ?? 0;
  query.segment = all("segment", id, "the number of a region")[0] ?? 0;
  query.at = all("at", (text) => (/^\d{1,9}$/.test(text) ? Number(text) : null), "a number")[0] ?? 0;
  return { query, odd };
}

/**
 * The address of a query, from `?` on; "" for the library as it opens. `parse` reads it back.
 * @param {Query} query
 */
export function format(query) {
  const usual = empty();
  /** @type {[string, string | number][]} */
  const parts = [];
  const add = (/** @type {string} */ name, /** @type {string | number | undefined} */ value) => {
    if (value !== undefined) parts.push([name, value]);
  };
  const { filters } = query;
  if (query.words) add("q", query.words);
  for (const term of query.terms) add("with", writeTerm(term));
  for (const { name, absent } of query.things) add("thing", absent ? `-${name}` : name);
  for (const { one, link, other } of query.relations) add("where", `${one}~${link}~${other}`);
  if (query.like.length) add("right", query.like.join("-"));
  if (query.unlike.length) add("wrong", query.unlike.join("-"));
  for (const [name, field] of LISTS) for (const value of filters[field] ?? []) add(name, value);
  for (const [name, field] of [...DAYS, ...SHARES, ...SIDES]) add(name, filters[field]);
  for (const [name, field] of QUADS) add(name, filters[field]?.join("~"));
  for (const kind of filters.kinds ?? []) add("kind", kind);
  if (filters.has_text) add("text", 1);
  if (filters.image_ids?.length) add("only", filters.image_ids.join("-"));
  add("lasso", filters.map_area?.map((corner) => corner.join("~")).join("_"));
  add("cluster", filters.map_cluster);
  for (const name of /** @type {const} */ (["by", "prefer", "view", "shelf", "order"])) {
    if (query[name] !== usual[name]) add(name, query[name]);
  }
  if (query.all) add("all", 1);
  if (query.copies) add("copies", 1);
  if (query.image) add("image", query.image);
  if (query.segment) add("segment", query.segment);
  if (query.at) add("at", query.at);
  const text = new URLSearchParams(parts.map(([name, value]) => [name, String(value)])).toString();
  return text ? `?${text}` : "";
}

/** Whether something is looked for, beyond filters. @param {Query} query */
export const asks = (query) =>
  Boolean(query.words.trim() || query.terms.length || query.things.length || query.like.length);

/** Whether filters are set. @param {Query} query */
export const filtered = (query) => Object.keys(query.filters).length > 0;

/** What decides the answers: two queries of the same question have the same list.
 * @param {Query} query */
export const question = (query) =>
  format({
    ...query,
    image: 0,
    segment: 0,
    at: 0,
    view: "grid",
    ...(asks(query) ? { shelf: "time", order: "newest" } : {}),
  });
