// Regions as a file: what is chosen, or a collection, written by the server and handed to the browser.

import { html, useState } from "../vendor/preact.js";
import { isAbort, request, sentence } from "./api.js";
import { count } from "./sayings.js";
import { told } from "./selection.js";
import { notify, Switch } from "./ui.js";

/** @typedef {import("./selection.js").Chosen} Chosen
 * @typedef {(act: (value: any) => void) => any} Then closes a menu, and then acts */

const MOST_IDS = 5000; // of one request: the server's limit

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

/** The kinds of files to choose from. @param {{onChoose: (format: string) => void}} props */
export const Formats = ({ onChoose }) => html`<ul class="plain formats">
  ${FORMATS.map(
    ([format, name, what]) => html`<li key=${format}>
    <button type="button" onClick=${() => onChoose(format)}>
      <b>${name}</b> <span class="quiet">${what}</span></button>
  </li>`,
  )}</ul>`;

/** @param {Chosen[]} chosen @param {string} format
 * @param {boolean} all whether all regions of the pictures, not only those that were found */
function exportChosen(chosen, format, all) {
  const whole = (/** @type {Chosen} */ { segment, found }) => !segment && (all || !found.length);
  const images = chosen.filter(whole).map(({ image }) => image);
  const segments = chosen.flatMap((one) => (whole(one) ? [] : one.segment || one.found));
  if (Math.max(segments.length, images.length) > MOST_IDS) {
    const most = MOST_IDS.toLocaleString("en");
    return void notify(`One file holds at most ${most} of what is selected.`, { bad: true });
  }
  return void exportRegions(
    format,
    {
      ...(images.length ? { image_ids: images } : {}),
      ...(segments.length ? { segment_ids: segments } : {}),
    },
    `${images.length ? "all regions" : count(segments.length, "region")} of ${told(chosen)}`,
  );
}

/** What to export of what is selected. @param {{chosen: Chosen[],
 *   then: Then}} props */
export function Exporting({ chosen, then }) {
  const found = chosen.some((one) => !one.segment && one.found.length > 0);
  const [all, setAll] = useState(!found);
  return html`
    ${
      found
        ? html`<${Switch} label="Which regions" value=${all ? "all" : "found"} options=${[
            ["found", "What was found"],
            ["all", "All regions"],
          ]} onChange=${(/** @type {string} */ value) => setAll(value === "all")} />`
        : chosen.some(({ segment }) => !segment)
          ? html`<p class="quiet">All regions of the pictures</p>`
          : null
    }
    <${Formats} onChoose=${then((format) => exportChosen(chosen, format, all))} />`;
}
