// Adding pictures, and the line under the bar that tells what is being sent and indexed.

import { html, useEffect, useState } from "../vendor/preact.js";
import { cancel, onReturn, resume, stageOf, totalOf, useJobs } from "./jobs.js";
import {
  collectionNames,
  dismiss,
  ENDINGS,
  isSending,
  onSending,
  outcome,
  send,
  sendAgain,
  sendDropped,
  sendFolder,
  sending,
  stopSending,
} from "./sending.js";
import { count, nameOf, size } from "./sayings.js";
import { Go, Icon, Menu, typed } from "./ui.js";
import { query } from "./store.js";

export { followJobs } from "./jobs.js";

/** @import {Job, Status} from "./types.d.ts" */
/** @typedef {import("./sending.js").Sending} Sending */

const ACCEPT = ["image/*", "video/*", ...ENDINGS.map((ending) => `.${ending}`)].join();
const MOST_SHOWN = 100; // refused files in the line's list

onReturn(sendAgain);

/** The collection that the open menu says. */
let into = "";

/** Add what was dropped; folders with all that is in them. @param {DataTransfer} data */
export const addAll = (data) => void sendDropped(data, into);

/** Let a person choose. @param {boolean} folder @param {string} collection */
function choose(folder, collection) {
  document.getElementById("adding")?.remove(); // of a choice that was not made
  const input = document.createElement("input");
  input.id = "adding";
  input.type = "file";
  input.hidden = true;
  input.multiple = true;
  if (folder) input.webkitdirectory = true;
  else input.accept = ACCEPT;
  input.addEventListener("change", () => {
    const files = [...(input.files ?? [])];
    input.remove();
    void (folder ? sendFolder(files, collection) : send(files, collection));
  });
  document.body.append(input);
  input.click();
}

/** Choose pictures to add. @param {string} [collection] */
export const chooseFiles = (collection = "") => choose(false, collection);
/** Choose a folder whose pictures are added. @param {string} [collection] */
export const chooseFolder = (collection = "") => choose(true, collection);

/** @param {{close: () => void}} props */
function Adding({ close }) {
  const [name, setName] = useState("");
  const [names, setNames] = useState(/** @type {string[]} */ ([]));
  useEffect(() => {
    void collectionNames().then(setNames);
    return () => {
      into = "";
    };
  }, []);
  const act = (/** @type {(collection: string) => void} */ chosen) => () => {
    close();
    chosen(name.trim());
  };
  return html`
    <div class="buttons">
      <button type="button" class="main" onClick=${act(chooseFiles)}>
        <${Icon} name="picture" />Pictures…</button>
      <button type="button" onClick=${act(chooseFolder)}>
        <${Icon} name="folder" />A folder…</button>
    </div>
    <label class="field">Into a collection, if you like
      <input list="adding-collections" value=${name} maxlength="100" placeholder="none" autocomplete="off"
        onInput=${typed((value) => {
          setName(value);
          into = value.trim();
        })} /></label>
    <datalist id="adding-collections">
      ${names.map((one) => html`<option key=${one} value=${one}></option>`)}</datalist>
    <p class="quiet">Or drop pictures and folders anywhere on the page. They are copied into the library;
      your own files stay as they are.</p>`;
}

/** The button that adds pictures, and the place where a single one is dropped to be added. */
export function AddMenu() {
  useEffect(() => {
    const place = document.createElement("div");
    place.className = "drop-add";
    place.dataset.drop = "add";
    place.textContent = "Drop here to add to the library";
    document.body.append(place);
    return () => place.remove();
  }, []);
  return html`<${Menu} class="add" align="end" title="Add pictures or a folder"
    label=${html`<${Icon} name="plus" /><span class="label">Add</span>`}>
    ${(/** @type {() => void} */ close) => html`<${Adding} close=${close} />`}<//>`;
}

/**
 * One thing under way: a bar, words, and what can be done about it.
 * @param {{label: string, value?: number, most?: number, text: string, children?: any}} props
 *   `value` of `most` is done; without it nobody knows
 */
const Task = ({ label, value, most, text, children }) => html`<div class="task">
  <progress aria-label=${label} value=${value} max=${most}></progress>
  <span class="saying" title=${text}>${text}</span>${children}</div>`;

/** @param {{state: Sending}} props */
function SendingLine({ state }) {
  const { total, done, bytes, sentBytes, looking, into: collection, problem, waiting } = state;
  if (problem) {
    const left = `${count(waiting.length, "file")} of ${total.toLocaleString("en")} not sent yet.`;
    return html`<div class="task bad"><span class="saying" role="alert">${problem} ${left}</span>
      <button type="button" class="link" onClick=${sendAgain}>Try again</button>
      <button type="button" class="link" onClick=${stopSending}>Leave them</button></div>`;
  }
  if (!isSending()) return null;
  const where = collection ? ` to “${collection}”` : "";
  const at = `${Math.min(done + 1, total).toLocaleString("en")} of ${count(total, "file")}`;
  const far = `${size(sentBytes)} of ${size(bytes)}${looking ? " · looking for more" : ""}`;
  const text = total ? `Sending ${at}${where}, ${far}` : "Looking through the folder";
  const [value, most] = bytes ? [sentBytes, bytes] : [];
  return html`<${Task} label="Sending" value=${value} most=${most} text=${text}>
    <button type="button" class="link" onClick=${stopSending}>Stop</button><//>`;
}

/** What came of sending, where there is something to be read. @param {{state: Sending}} props */
function Sent({ state }) {
  const { refused, passed, waiting } = state;
  if (isSending() || waiting.length || !(refused.length || passed)) return null;
  const were = (/** @type {number} */ many) => (many === 1 ? "was" : "were");
  const parts = [outcome(state)];
  if (refused.length) parts.push(`${count(refused.length, "file")} ${were(refused.length)} refused.`);
  if (passed) {
    parts.push(
      `${count(passed, "file")} of the folder ${were(passed)} passed over: hidden, or no pictures or videos.`,
    );
  }
  const more = refused.length - MOST_SHOWN;
  return html`<div class="task sent">
    <span class="saying" role="status">${parts.join(" ")}</span>
    <button type="button" class="link" onClick=${dismiss}>Close</button>
    ${
      refused.length
        ? html`<ul class="plain reasons" aria-label="Files that were refused">
      ${refused.slice(0, MOST_SHOWN).map(
        ({ name, reason }, i) => html`
        <li key=${i}><b>${nameOf(name)}</b> ${reason}</li>`,
      )}
      ${more > 0 ? html`<li>and ${more.toLocaleString("en")} more</li>` : null}
    </ul>`
        : null
    }</div>`;
}

/** @param {{job: Job, mayWrite: boolean}} props */
export function JobLine({ job, mayWrite }) {
  const total = job.stage === "indexing" ? totalOf(job) : 0;
  const canStop = mayWrite && !job.stopping;
  return html`<${Task} label="Indexing" value=${total ? job.done : undefined} most=${total || undefined}
      text=${stageOf(job)}>
    ${
      canStop ? html`<button type="button" class="link" onClick=${() => cancel(job)}>Stop</button>` : null
    }<//>`;
}

/** What waits while nothing runs, and why. @param {{status: Status, mayWrite: boolean}} props */
export function WaitingLine({ status: { pending, paused }, mayWrite }) {
  if (!pending) return null;
  const many = `${count(pending, "picture")} ${pending === 1 ? "waits" : "wait"}`;
  const text = paused ? `Indexing was stopped: ${many}.` : `${many} to be indexed.`;
  const canGoOn = paused && mayWrite;
  return html`<div class="task"><span class="saying">${text}</span>
    ${canGoOn ? html`<button type="button" class="link" onClick=${resume}>Go on</button>` : null}</div>`;
}

/** The line under the bar; nothing where nothing is done. @param {{mayWrite: boolean}} props */
export function Working({ mayWrite }) {
  const { jobs, status, away } = useJobs();
  const [state, setState] = useState(sending());
  useEffect(() => onSending(() => setState(sending())), []);
  // The status view tells of it itself.
  const indexing = query().view !== "status" && (jobs.length > 0 || Boolean(status?.pending));
  const isRead = !state.waiting.length && !state.refused.length && !state.passed;
  if (!indexing && !away && !isSending() && isRead) return null;
  return html`<div class="working" role="group" aria-label="Under way">
    <${SendingLine} state=${state} />
    <${Sent} state=${state} />
    ${
      away
        ? html`<div class="task bad"><span class="saying" role="status">The server does not answer.
      This page goes on when it is back.</span></div>`
        : null
    }
    ${
      indexing && !away
        ? jobs.map(
            (job) => html`
      <${JobLine} key=${job.id} job=${job} mayWrite=${mayWrite} />`,
          )
        : null
    }
    ${
      indexing && !away && !jobs.length && status
        ? html`
      <${WaitingLine} status=${status} mayWrite=${mayWrite} />`
        : null
    }
    ${
      indexing
        ? html`<${Go} class="details" to=${{ ...query(), view: "status", image: 0, segment: 0 }}>Details<//>`
        : null
    }
  </div>`;
}
