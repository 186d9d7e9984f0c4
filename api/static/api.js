// Requests to the server; those of a question that was replaced are aborted.

export const MAX_FILES = 200; // sent in one form

let asking = new AbortController();

/** Give up what is under way; the returned signal is aborted by the next call. */
export function startAsking() {
  asking.abort();
  asking = new AbortController();
  return asking.signal;
}

/** The JSON answer of a path; an Error with the server's sentence and `code` otherwise. */
export async function call(path, options = {}) {
  let answer;
  try {
    answer = await fetch(path, { signal: asking.signal, ...options });
  } catch (problem) {
    if (problem.name === "AbortError") throw problem;
    throw new Error("The server does not answer. Is segsearch still running?");
  }
  const document = await answer.json().catch(() => ({}));
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
  return call("v1/search", { method: "POST", body: form });
}

/** Hand files over; they are indexed in the background. The answers' images and refusals together. */
export async function upload(files) {
  const images = [], refused = [];
  for (let start = 0; start < files.length; start += MAX_FILES) {
    const form = new FormData();
    for (const file of files.slice(start, start + MAX_FILES)) form.append("file", file, file.name);
    const answer = await call("v1/images", { method: "POST", body: form, signal: undefined });
    images.push(...answer.images);
    refused.push(...answer.refused);
  }
  return { images, refused };
}
