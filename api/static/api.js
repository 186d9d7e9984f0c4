// Requests to the server; those of a question that was replaced are aborted.

const FORM_FILES = 200, FORM_BYTES = 50_000_000; // sent at once; the server's limit is for a whole form
// Refusals that are about a picture, not about the server or the caller.
const OF_A_PICTURE = new Set(["picture_error", "picture_too_large_error", "body_too_large"]);

let asking = new AbortController();

/** Give up what is under way; the returned signal is aborted by the next call. */
export function startAsking() {
  asking.abort();
  asking = new AbortController();
  return asking.signal;
}

/** The JSON answer of a path; an Error with the server's sentence and `code` otherwise. */
export async function call(path, options = {}) {
  const sent = { signal: asking.signal, ...options };
  let answer;
  try {
    answer = await fetch(path, sent);
  } catch (problem) {
    if (problem.name === "AbortError") throw problem;
    throw new Error("The server does not answer. Is segsearch still running?");
  }
  const document = await answer.json().catch(() => {
    sent.signal?.throwIfAborted(); // given up half-read
    if (answer.ok) throw new Error("The server broke off its answer: ask again.");
    return {};
  });
  if (answer.ok) return document;
  const error = new Error(document.detail || `The server answered ${answer.status}.`);
  error.code = document.code;
  throw error;
}

/** Answer of POST /v1/search to a query, with a picture file to look like if there is one. */
export function search(query, picture = null) {
  if (!picture) {
    const headers = { "Content-Type": "application/json" };
    return call("v1/search", { method: "POST", headers, body: JSON.stringify(query) });
  }
  const form = new FormData();
  form.append("picture", picture, "picture");
  for (const [name, value] of Object.entries(query)) {
    if (value === undefined) continue;
    form.append(name, typeof value === "object" ? JSON.stringify(value) : value);
  }
  return call("v1/search", { method: "POST", body: form }).catch(async (problem) => {
    if (problem.name === "AbortError" || problem.code) throw problem;
    const start = await picture.slice(0, 1).arrayBuffer().catch(() => null);
    if (!start?.byteLength) throw new Error(`${picture.name} cannot be read, or has changed since: choose it again.`);
    throw problem;
  });
}

/** Files in as many forms as they need; a file that is larger than a form goes alone. */
function forms(files) {
  const made = [];
  let bytes = Infinity;
  for (const file of files) {
    bytes += file.size;
    if (bytes > FORM_BYTES || made.at(-1).length === FORM_FILES) {
      made.push([]);
      bytes = file.size;
    }
    made.at(-1).push(file);
  }
  return made;
}

/** Hand files over; they are indexed in the background. The answers' images and refusals together. */
export async function upload(files) {
  const images = [], refused = [], waiting = forms(files);
  while (waiting.length) {
    const sent = waiting.shift(), form = new FormData();
    for (const file of sent) form.append("file", file, file.name);
    try {
      const answer = await call("v1/images", { method: "POST", body: form, signal: undefined });
      images.push(...answer.images);
      refused.push(...answer.refused);
    } catch (problem) {
      if (!OF_A_PICTURE.has(problem.code)) throw problem;
      const half = sent.length >> 1; // a form of which nothing was taken tells of one file only
      if (half) waiting.unshift(sent.slice(0, half), sent.slice(half));
      else refused.push({ filename: sent[0].name, code: problem.code, detail: problem.message });
    }
  }
  return { images, refused };
}
