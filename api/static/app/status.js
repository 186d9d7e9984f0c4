// How the library stands: what is in it, what is being done, what went wrong and what helps, and who
// may do what.

import { html, useEffect, useState } from "../vendor/preact.js";
import { call, sentence } from "./api.js";
import { JobLine, WaitingLine, chooseFiles, chooseFolder } from "./ingest.js";
import { refresh, retry, useJobs } from "./jobs.js";
import { Keys, OwnKey } from "./keys.js";
import { FailedPictures, moment, Runs } from "./runs.js";
import { count, size } from "./sayings.js";

/** @import {ModelsDocument, Status} from "./types.d.ts" */
/**
 * @typedef {Status["problems"][number]} Problem
 * @typedef {import("./main.js").Session} Session
 * @typedef {ModelsDocument} Models
 */

const LOOK_MS = 15_000; // while nothing runs: others change the library, too
const NEARLY_FULL = 0.95;

/** Text in which `commands` stand between backticks. @param {string} text */
const told = (text) => text.split("`").map((part, i) => (i % 2 ? html`<code>${part}</code>` : part));

/** What the page itself can do about a problem, in place of the command. @type {Record<string, string>} */
const HELP = {
  pictures_failed: "The reasons stand below. What may have passed by now can be tried again.",
  pictures_quarantined: "They stand below. With more memory, or newer models, they may work: try them again.",
};

/** @param {{problem: Problem, mayWrite: boolean}} props */
function ProblemRow({ problem: { code, severity, what, fix }, mayWrite }) {
  const canRetry = mayWrite && code in HELP,
    kind = severity === "error" ? "Error: " : "Warning: ";
  return html`<li class=${`problem ${severity}`}>
    <p class="what"><span class="visually-hidden">${kind}</span>${told(what)}</p>
    <p class="quiet">${told(HELP[code] ?? fix)}</p>
    ${
      canRetry ? html`<p><button type="button" onClick=${() => retry(null)}>Try all again</button></p>` : null
    }
  </li>`;
}

/** @param {{status: Status}} props */
function Counts({ status }) {
  const { segments, pending, failed, quarantined, near_duplicates: alike, missing, excluded } = status;
  const { lines, to_read: unread, unreadable } = status;
  const indexed = status.images - pending - failed - quarantined;
  const rows = /** @type {[number, string, string][]} */ ([
    [indexed, "picture that can be searched", "pictures that can be searched"],
    [segments, "region in it", indexed === 1 ? "regions in it" : "regions in them"],
    [pending, "waits to be indexed", "wait to be indexed"],
    [failed, "could not be indexed", "could not be indexed"],
    [quarantined, "was set aside: it crashed the models", "were set aside: they crashed the models"],
    [lines, "line of text", "lines of text"],
    [unread, "waits to have its text read", "wait to have their text read"],
    [unreadable, "has text that could not be read", "have text that could not be read"],
    [alike, "looks almost like another", "look almost like another"],
    [missing, "file was not found when last looked for", "files were not found when last looked for"],
    [excluded, "file is left out by its folder's rules", "files are left out by their folders' rules"],
  ]);
  const shown = rows.filter(([many], i) => many || i < 2);
  return html`<ul class="plain figures">${shown.map(
    ([many, one, more]) => html`
    <li key=${one}><b>${many.toLocaleString("en")}</b> ${many === 1 ? one : more}</li>`,
  )}</ul>`;
}

/** How the index is searched, and how far it is. @param {{index: Status["index"]}} props */
function IndexState({ index }) {
  if (!index) return html`<p>There is none yet: it begins with the first picture.</p>`;
  const { regions, layout, behind, loaded } = index;
  const how = layout === "flat" ? "compares with each of them" : "looks at a part of them";
  const late = `${count(behind, "change")} behind: the next search takes them up`;
  return html`<p>${count(regions, "region")}; a search ${how}. ${
    loaded ? "In memory" : "Loaded with the first search"
  }, ${behind ? late : "up to date"}.</p>`;
}

/** @param {{models: Models | null}} props */
function ModelList({ models }) {
  if (!models) return html`<p class="loading">…</p>`;
  const { preset, segmenter, embedder, dimension, presets } = models;
  const bare = (/** @type {string | null} */ name) => html`
    <span title=${name}>${(name ?? "").split("@")[0]}</span>`;
  const summary = presets.find(({ name }) => name === preset)?.summary;
  return html`
    ${
      preset
        ? html`<dl><dt>in use</dt><dd><b>${preset}</b>${summary ? ` · ${summary}` : ""}</dd>
      <dt>cuts out with</dt><dd>${bare(segmenter)}</dd>
      <dt>compares with</dt><dd>${bare(embedder)}, ${count(dimension ?? 0, "number")} a region</dd></dl>`
        : html`<p>The library is empty: its first picture decides.</p>`
    }
    <details><summary>What there is to choose from</summary>
      <ul class="plain">${presets.map(
        ({ name, summary: text, here }) => html`
        <li key=${name}><b>${name}</b> · ${text}
          <span class="quiet"> · ${here ? "here" : "not fetched"}</span></li>`,
      )}</ul>
      <p class="quiet">Another is taken by <code>segsearch --preset NAME index --rebuild</code>.</p>
    </details>`;
}

/** @param {{status: Status}} props */
function DiskState({
  status: {
    disk: { free_bytes: free, total_bytes: total },
    bytes,
    library,
  },
}) {
  const used = total - free;
  return html`<p>The library takes ${size(bytes)}; ${size(free)} of ${size(total)} are free.</p>
    <meter min="0" max=${total} high=${NEARLY_FULL * total} optimum="0" value=${used}
      aria-label=${`${size(used)} of ${size(total)} are taken`}></meter>
    <p class="quiet path">${library}</p>`;
}

/** @param {{title: string, id: string, children: any, class?: string}} props */
const Part = ({ title, id, children, class: name = "" }) => html`
  <section class=${`part ${name}`} aria-labelledby=${id}><h2 id=${id}>${title}</h2>${children}</section>`;

/**
 * @param {{session: Session, mayWrite: boolean, onSession: () => void}} props
 */
export function StatusView({ session, mayWrite, onSession }) {
  const { jobs, status, last, away } = useJobs();
  const [models, setModels] = useState(/** @type {Models | null} */ (null));
  const [problem, setProblem] = useState("");
  useEffect(() => {
    void refresh();
    const timer = setInterval(() => {
      if (!document.hidden) void refresh();
    }, LOOK_MS);
    return () => clearInterval(timer);
  }, []);
  const preset = status?.preset;
  useEffect(() => {
    call("v1/models").then(
      (found) => {
        setModels(found);
        setProblem("");
      },
      (wrong) => setProblem(sentence(wrong)),
    );
  }, [preset]);
  if (!status && away) return html`<p class="bad" role="status">The server does not answer.</p>`;
  if (!status) return html`<p class="loading" role="status">…</p>`;
  const { problems, workers, failed, quarantined, pending, images } = status;
  return html`<div class="status">
    <h1 class="visually-hidden">Status</h1>
    ${
      problems.length
        ? html`<${Part} title="What needs a look" id="problems" class="wide">
      <ul class="plain rows">${problems.map(
        (one) => html`
        <${ProblemRow} key=${one.code} problem=${one} mayWrite=${mayWrite} />`,
      )}</ul><//>`
        : null
    }
    <${Part} title="The library" id="library">
      <${Counts} status=${status} />
      ${
        !images && mayWrite
          ? html`<div class="buttons">
        <button type="button" class="main" onClick=${() => chooseFiles()}>Add pictures…</button>
        <button type="button" onClick=${() => chooseFolder()}>Add a folder…</button></div>`
          : null
      }
      ${problems.length ? null : html`<p class="fine">Nothing is wrong.</p>`}
    <//>
    <${Part} title="Under way" id="under-way">
      ${jobs.map((job) => html`<${JobLine} key=${job.id} job=${job} mayWrite=${mayWrite} />`)}
      ${jobs.length ? null : html`<${WaitingLine} status=${status} mayWrite=${mayWrite} />`}
      ${jobs.length || pending ? null : html`<p class="quiet">Nothing is being indexed.</p>`}
      <ul class="plain">${workers.map(
        ({ who, pictures, since }) =>
          html`<li class="quiet" key=${who}>${
            who
          }: ${count(pictures, "picture")} in hand${since ? `, since ${moment(since)}` : ""}</li>`,
      )}</ul>
    <//>
    ${
      failed + quarantined
        ? html`<${Part} title="Pictures that failed" id="failed" class="wide">
      <${FailedPictures} failed=${failed} quarantined=${quarantined} mayWrite=${mayWrite} /><//>`
        : null
    }
    <${Part} title="Models" id="models">
      ${
        problem ? html`<p class="bad" role="alert">${problem}</p>` : html`<${ModelList} models=${models} />`
      }<//>
    <${Part} title="Index and disk" id="disk">
      <${IndexState} index=${status.index} /><${DiskState} status=${status} /><//>
    <${Part} title="Last runs" id="runs" class="wide"><${Runs} last=${last} /><//>
    <${Part} title="Keys" id="keys" class="wide">
      <${OwnKey} session=${session} onSession=${onSession} />
      ${session.scope === "admin" ? html`<${Keys} session=${session} onSession=${onSession} />` : null}
    <//>
  </div>`;
}
