// A query as the body of a request. Pure.

/** @typedef {import("./address.js").Query} Query @typedef {import("./address.js").Term} Term */

export const MAX_TERMS = 32; // of a query, judgements included: the server's limit
const NOT_WEIGHT = -0.5; // what "-words" counts against the rest
const NOTS = 3; // of them that count so much each; more share it, or little would be left of the rest

const PARTS = new RegExp(
  // what is asked of words in pictures, which the server reads; then what is not wanted
  /(?<!\S)(?:(-?text:(?:["“”„«»][^"“”„«»]*["“”„«»]?|[^\s"“”„«»]+))|-(?:["“”]([^"“”]+)["“”]?|([^\s"“”-]\S*)))/,
  "gi",
);

/**
 * Words as typed, parted into those that are wanted and those that are not: a `-` before a word, or
 * before words in quotation marks, says what is not. What begins with `text:` is left as it is.
 * @param {string} words
 * @returns {{wanted: string, unwanted: string[]}}
 */
export function parted(words) {
  /** @type {string[]} */
  const unwanted = [];
  const wanted = words.replace(PARTS, (_, written, quoted, word) => {
    if (!written) unwanted.push((quoted ?? word).trim());
    return written ?? "";
  });
  return { wanted: wanted.replace(/\s+/g, " ").trim(), unwanted: unwanted.filter(Boolean) };
}

/** Words with one more that is not wanted. @param {string} words @param {string} unwanted */
export const without = (words, unwanted) =>
  `${words.trim()} -${/\s/.test(unwanted) ? `"${unwanted}"` : unwanted}`.trim();

/** @param {Term} term */
function termOf({ kind, id, weight, points = [], labels = [], box, candidate }) {
  if (kind === "segment") return { segment_id: Number(id), weight };
  if (kind === "image") return { image_id: Number(id), weight };
  if (kind === "picture") return { picture_id: id, weight };
  /** @type {Record<string, unknown>} */
  const region = { image_id: Number(id) };
  if (points.length) Object.assign(region, { points, labels });
  if (box) region.box = box;
  if (candidate !== undefined) region.candidate = candidate;
  return { region, weight };
}

/** The newest judgements that a query has room for. @param {Query} query */
export function judged(query) {
  const { wanted, unwanted } = parted(query.words);
  const room = MAX_TERMS - query.terms.length - unwanted.length - (wanted ? 1 : 0);
  const like = query.like.slice(-Math.max(1, room));
  const unlike = query.unlike.slice(-Math.max(0, room - like.length));
  return { like, unlike: room - like.length > 0 ? unlike : [] };
}

/** What passes: the filters, where there are any. @param {Query} query */
const filtersOf = (query) => (Object.keys(query.filters).length ? { filters: query.filters } : {});

/**
 * The body of POST /v1/search.
 * @param {Query} query
 * @param {{limit: number, cursor?: string | null}} page
 */
export function searchBody(query, { limit, cursor }) {
  const { wanted, unwanted } = parted(query.words);
  const weight = NOT_WEIGHT * Math.min(1, NOTS / unwanted.length);
  const terms = [...query.terms.map(termOf), ...unwanted.map((text) => ({ text, weight }))];
  const { like, unlike } = judged(query);
  return {
    ...(wanted ? { text: wanted } : {}),
    ...(terms.length ? { terms } : {}),
    ...(like.length ? { like } : {}),
    ...(unlike.length ? { unlike } : {}),
    ...filtersOf(query),
    ...(query.by === "picture" ? { by_picture: true, per_image: 10 } : {}),
    ...(query.prefer === "thing" ? {} : { prefer: query.prefer }),
    ...(query.copies ? { near_duplicates: true } : {}),
    ...(query.all ? { min_relevance: 0 } : {}),
    ...(cursor ? { cursor } : {}),
    limit,
  };
}

/** The body of POST /v1/search/scene. @param {Query} query @param {number} limit */
export function sceneBody(query, limit) {
  const names = new Set(query.things.map((thing) => thing.name));
  return {
    slots: query.things.map(({ name, absent }) => ({ name, ...(absent ? { absent } : {}) })),
    relations: query.relations
      .filter(({ one, other }) => names.has(one) && names.has(other))
      .map(({ one, link, other }) => [one, link, other]),
    ...filtersOf(query),
    ...(query.all ? { min_relevance: 0 } : {}),
    limit,
  };
}

/**
 * The body of POST /v1/browse.
 * @param {Query} query
 * @param {{limit: number, cursor?: string | null, offset?: number}} page
 */
export const browseBody = (query, { limit, cursor, offset = 0 }) => ({
  ...filtersOf(query),
  order: query.order,
  ...(cursor ? { cursor } : {}),
  ...(offset ? { offset } : {}),
  limit,
});
