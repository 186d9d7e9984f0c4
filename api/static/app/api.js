// Requests to the server. Those of a question that was replaced are aborted; a server that is busy is
// asked again; one that wants a key says so to whoever listens.

const TRIES = 4; // of a request that the server is too busy for
const LONGEST_PAUSE_S = 20;
const FORM_FILES = 200,
  FORM_BYTES = 50_000_000; // sent at once; the server's limit is for a whole form
// Refusals that are about a picture, not about the server or the caller.
const OF_A_PICTURE = new Set(["picture_error", "picture_too_large_error", "body_too_large"]);

/** A refusal, with the server's sentence. */
export class Refusal extends Error {
  /** @param {string} message @param {string} [code] the server's, "" where it did not answer
   * @param {number} [status] */
  constructor(message, code = "", status = 0) {
    super(message);
    this.name = "Refusal";
    this.code = code;
    this.status = status;
  }
}

/** The server's sentence in the words of the page. @param {string | undefined} detail */
const inWords = (detail) =>
  detail
    ?.replace(/\bno image (?=\d)/, "no picture ")
    .replace(/\bno segment (?=\d)/, "no region ")
    .replace(/\bno cluster (\d+)/, (_, cluster) => `no group ${Number(cluster) + 1}`);

/** Hears that a key is missing, or works no longer. @type {() => void} */
let lockedOut = () => {};
/** @param {() => void} listener */
export const onLockedOut = (listener) => {
  lockedOut = listener;
};

/** @param {number} ms @param {AbortSignal | null | undefined} signal */
const pause = (ms, signal) =>
  new Promise((resolve, reject) => {
    setTimeout(() => resolve(undefined), ms);
    signal?.addEventListener("abort", () => reject(signal.reason), { once: true });
  });

/** Whether a request was given up, which nobody needs to hear of. @param {unknown} problem */
export const isAbort = (problem) => problem instanceof DOMException && problem.name === "AbortError";

/** The sentence of a problem. @param {unknown} problem */
export const sentence = (problem) => (problem instanceof Error ? problem.message : String(problem));

/**
 * The answer to a request; a Refusal with the server's sentence and `code` where it is refused.
 * @param {string} path below the page's own, without a leading slash
 * @param {RequestInit} [options]
 * @returns {Promise<Response>}
 */
export async function request(path, options = {}) {
  for (let tries = 1; ; tries++) {
    let answer;
    try {
      answer = await fetch(path, options);
    } catch (problem) {
      if (isAbort(problem)) throw problem;
      throw new Refusal("The server does not answer. Is segsearch still running?");
    }
    if (answer.ok) return answer;
    const wait = Number(answer.headers.get("Retry-After")) || 1;
    if (answer.status === 429 && tries < TRIES && wait <= LONGEST_PAUSE_S) {
      await pause(1000 * wait, options.signal);
      continue;
    }
    const document = await answer.json().catch(() => ({}));
    if (answer.status === 401) lockedOut();
    throw new Refusal(
      inWords(document.detail) || `The server answered ${answer.status}.`,
      document.code,
      answer.status,
    );
  }
}

/**
 * The JSON answer of a path.
 * @param {string} path
 * @param {RequestInit} [options]
 * @returns {Promise<any>}
 */
export async function call(path, options = {}) {
  const answer = await request(path, options);
  if (answer.status === 204) return null;
  try {
    return await answer.json();
  } catch (problem) {
    if (isAbort(problem)) throw problem;
    throw new Refusal("The server broke off its answer: ask again.");
  }
}

/**
 * The JSON answer to a JSON body.
 * @param {string} path
 * @param {unknown} body
 * @param {RequestInit} [options]
 */
export const post = (path, body, options = {}) =>
  call(path, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
    ...options,
  });

/**
 * Keep a picture on the server to search by: its id stands in addresses.
 * @param {File} file
 * @param {AbortSignal} [signal]
 * @returns {Promise<{picture_id: string, width: number, height: number, image_id: number | null}>}
 */
export async function keepPicture(file, signal) {
  const form = new FormData();
  form.append("picture", file, "picture");
  try {
    return await call("v1/pictures", { method: "POST", body: form, signal });
  } catch (problem) {
    if (isAbort(problem) || (problem instanceof Refusal && problem.code)) throw problem;
    const start = await file
      .slice(0, 1)
      .arrayBuffer()
      .catch(() => null);
    if (!start?.byteLength)
      throw new Refusal(`${file.name} cannot be read, or has changed since: choose it again.`);
    throw problem;
  }
}

/**
 * Files in as many forms as they need; a file that is larger than a form goes alone.
 * @param {File[]} files
 */
function forms(files) {
  /** @type {File[][]} */
  const made = [];
  let bytes = Infinity;
  for (const file of files) {
    bytes += file.size;
    if (bytes > FORM_BYTES || made[made.length - 1].length === FORM_FILES) {
      made.push([]);
      bytes = file.size;
    }
    made[made.length - 1].push(file);
  }
  return made;
}

/**
 * @typedef {{filename: string, created: boolean, image: {image_id: number}}} Sent
 * @typedef {{filename: string, code: string, detail: string}} Refused
 */

/**
 * Hand files over; they are indexed in the background.
 * @param {File[]} files
 * @param {{collection?: string, folder?: string}} fields the folder's name becomes the album
 * @param {AbortSignal} signal
 * @returns {Promise<{images: Sent[], refused: Refused[]}>}
 */
export async function upload(files, fields, signal) {
  /** @type {Sent[]} */
  const images = [];
  /** @type {Refused[]} */
  const refused = [];
  const waiting = forms(files);
  for (let sent = waiting.shift(); sent; sent = waiting.shift()) {
    const form = new FormData();
    for (const file of sent) form.append("file", file, file.name);
    for (const [name, value] of Object.entries(fields)) form.append(name, value);
    try {
      const answer = await call("v1/images", { method: "POST", body: form, signal });
      images.push(...answer.images);
      refused.push(...answer.refused);
    } catch (problem) {
      if (!(problem instanceof Refusal) || !OF_A_PICTURE.has(problem.code)) throw problem;
      const half = sent.length >> 1; // a form of which nothing was taken tells of one file only
      if (half) waiting.unshift(sent.slice(0, half), sent.slice(half));
      else refused.push({ filename: sent[0].name, code: problem.code, detail: problem.message });
    }
  }
  return { images, refused };
}

// Addresses of pictures. They carry the library's mark: what has one never changes, and the browser
// keeps it; without one another library at the same address would show this one's pictures.
let mark = "";
/** @param {string | null} library the mark that the session gave */
export const setLibrary = (library) => {
  mark = library ? `library=${encodeURIComponent(library)}` : "";
};

/** A picture's address with the library's mark. @param {string} path */
export const marked = (path) => (mark ? `${path}${path.includes("?") ? "&" : "?"}${mark}` : path);

// Sides are few, so that what the browser has kept is used again.
const SIDES = [160, 320, 480, 640, 960, 1280, 2048];
/** @param {number} image @param {number} side of the longer edge, in pixels
 * @param {number} [at] the second of a video */
export const thumbnail = (image, side, at) =>
  marked(
    `v1/images/${image}/thumbnail?side=${SIDES.find((one) => one >= side) ?? SIDES[SIDES.length - 1]}${at === undefined ? "" : `&t=${at}`}`,
  );

/**
 * The choices of a picture's sizes for `srcset`.
 * @param {number} image
 * @param {number} width
 * @param {number} height
 * @param {number} [at]
 */
export function srcset(image, width, height, at) {
  const longer = Math.max(width, height) || 1;
  return SIDES.slice(0, -1)
    .filter((side) => side === SIDES[0] || side < 2 * longer)
    .map(
      (side) =>
        `${thumbnail(image, side, at)} ${Math.max(1, Math.round((Math.min(side, longer) * (width || 1)) / longer))}w`,
    )
    .join(", ");
}

/** A region alone. @param {number} segment @param {number} [side] at most so many pixels */
export const cutout = (segment, side) =>
  marked(`v1/segments/${segment}/cutout.png${side ? `?side=${side}` : ""}`);

/** The square around a region. @param {number | string} segment */
export const crop = (segment) => marked(`v1/segments/${segment}/crop.png?margin=0.1`);

/** A picture that was uploaded to search by. @param {string} picture */
export const uploaded = (picture) => marked(`v1/pictures/${picture}/thumbnail?side=160`);

/**
 * A picture's own file where browsers show it, else its pixels.
 * @param {number} image
 * @param {boolean} shown
 */
export const original = (image, shown) => marked(`v1/images/${image}/${shown ? "file" : "original"}`);
