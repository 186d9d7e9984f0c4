// Regions as a file: what is chosen, or a collection, written by the server and handed to the browser.

import { isAbort, request, sentence } from "./api.js";
import { notify } from "./ui.js";

/** The kinds of files: the API's name, ours, and what is in it. @type {[string, string, string][]} */
export const FORMATS = [
  ["cutouts", "Cut-outs", "a zip of PNG pictures, one a region"],
  ["coco", "COCO", "JSON with masks, for training"],
  ["jsonl", "JSON lines", "one line a region"],
  ["caption-pack", "Caption pack", "crops and outlines, for a captioning model"],
];

/** The name that the server gave a file (RFC 6266). @param {string | null} disposition */
export function fileName(disposition) {
  const [, encoded] = /filename\*=UTF-8''([^;]+)/i.exec(disposition ?? "") ?? [];
  const [, plain] = /filename="([^"]*)"/i.exec(disposition ?? "") ?? [];
  try {
    return (encoded && decodeURIComponent(encoded)) || plain || "segsearch";
  } catch {
    return plain || "segsearch";
  }
}

/** Hand bytes to the browser as a file. @param {Blob} blob @param {string} name */
export function saveBlob(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000); // once the browser has surely read it
}

/**
 * Have a file written, and save it; meanwhile a notice says so, and can stop it.
 * @param {string} format of FORMATS
 * @param {Record<string, unknown>} what as the body of POST /v1/export says it, without the format
 * @param {string} said what it is of, in words
 */
export async function exportRegions(format, what, said) {
  const stop = new AbortController();
  const kind = FORMATS.find(([name]) => name === format)?.[1] ?? format;
  const act = { text: "Stop", run: () => stop.abort() };
  let end = notify(`Writing ${kind} of ${said} …`, { stay: true, act });
  try {
    const answer = await request("v1/export", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ format, ...what }),
      signal: stop.signal,
    });
    const name = fileName(answer.headers.get("Content-Disposition"));
    end();
    end = notify(`Fetching ${name} …`, { stay: true, act });
    saveBlob(await answer.blob(), name);
    end();
    notify(`${name} is written.`);
  } catch (problem) {
    end();
    if (isAbort(problem)) notify("Stopped: nothing was written.");
    else notify(`No file was written. ${sentence(problem)}`, { bad: true });
  }
}
