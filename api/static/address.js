// What the address asks for, and what it says was judged right or wrong; odd ones are told of.

const MAX_TERMS = 32; // of a query, judgements included: the server's limit
const VERDICTS = ["like", "unlike"];
const ID = /^[1-9]\d{0,14}$/;
const EXPECTED = {
  segment: [ID, "the number of a region"],
  image: [ID, "the number of a picture"],
  at: [/^\d{1,9}(\.\d+)?,\d{1,9}(\.\d+)?$/, "a place in the picture, such as 320,200"],
  candidate: [/^([0-5]?\d|6[0-3])$/, "the number of a mask"],
};

export const wanted = () => new URLSearchParams(location.search);

/** A sentence on what cannot be asked for, as in an address typed by hand; "" where all can. */
export function oddity() {
  const at = wanted();
  for (const [name, [form, expected]] of Object.entries(EXPECTED)) {
    const said = at.get(name);
    if (said !== null && !form.test(said)) return `The address says “${name}=${said.slice(0, 40)}”, expected ${expected}.`;
  }
  return at.has("at") && !at.has("image") ? "The address says a place, but not in which picture." : "";
}

/** As many of the newest judgements as a query has room for, beside a `picture` if there is one. */
function newest(judged, picture) {
  const terms = ["q", "segment", "at"].filter((name) => wanted().has(name)).length + (picture ? 1 : 0);
  return judged.slice(-(MAX_TERMS - terms));
}

/** What was judged and counts, as [verdict, segment id], oldest first. */
export function judgements(picture) {
  const found = [...wanted()].flatMap(([name, ids]) => (VERDICTS.includes(name)
    ? ids.split(",").filter((id) => ID.test(id)).map((id) => [name, Number(id)]) : []));
  return newest(found, picture);
}

/** The address's names and values with other judgements. */
export const judgedSo = (judged, picture) =>
  [...[...wanted()].filter(([name]) => !VERDICTS.includes(name)), ...newest(judged, picture)];

/** What the address asks for, as the body of a search. */
export function query(picture) {
  const at = wanted(), body = {};
  if (at.has("q")) body.text = at.get("q");
  if (at.has("segment")) body.segment_id = Number(at.get("segment"));
  if (at.has("at")) {
    const region = { image_id: Number(at.get("image")), points: [at.get("at").split(",").map(Number)] };
    body.region = at.has("candidate") ? { ...region, candidate: Number(at.get("candidate")) } : region;
  }
  for (const [verdict, id] of judgements(picture)) (body[verdict] ??= []).push(id);
  if (at.has("all")) body.min_relevance = 0;
  return body;
}
