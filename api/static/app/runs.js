// The last runs that filled the library, what they skipped and why, and the pictures that failed.

import { html, useEffect, useRef, useState } from "../vendor/preact.js";
import { call, post, sentence, thumbnail } from "./api.js";
import { LAST_RUNS, refresh, retry, unindexed } from "./jobs.js";
import { count, day, nameOf } from "./sayings.js";
import { Go, later, notify } from "./ui.js";
import { openPicture, query } from "./store.js";

/** @import {Job} from "./types.d.ts" */
/**
 * @typedef {{path: string, name: string, reason: string, image_id: number | null}} Skipped
 * @typedef {{image_id: number, paths: string[], state: string, reason: string | null}} Failed
 */

const PAGE = 50,
  MOST_FAILED = 1000,
  MOST_PATHS = 3;
const UNSAID = /** @type {Record<string, string>} */ ({
  quarantined: "It crashed the models twice, and was set aside.",
});
const KINDS = /** @type {Record<string, string>} */ ({
  index: "By hand",
  worker: "In the background",
  watch: "Watched folders",
});
const REPORTS = /** @type {Record<string, string>} */ ({
  gone: "Its report is gone: only those of the last runs are kept.",
  unfinished: "The report has no end: there may be more.",
});
const ENDS = /** @type {Record<string, string>} */ ({
  running: "under way",
  done: "done",
  stopped: "stopped",
  failed: "failed",
  lost: "killed",
});

/** `today, 14:05`. @param {string | null} iso */
export function moment(iso) {
  const date = iso ? new Date(iso) : null;
  if (!date || Number.isNaN(date.getTime())) return "";
  const clock = date.toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit" });
  const isToday = date.toDateString() === new Date().toDateString();
  return `${isToday ? "today" : day(iso)}, ${clock}`;
}

/** `3 minutes`. @param {string} from @param {string | null} to ISO 8601 */
export function lasted(from, to) {
  const seconds = to ? (Date.parse(to) - Date.parse(from)) / 1000 : NaN;
  if (Number.isNaN(seconds)) return "";
  if (seconds < 60) return count(Math.max(1, Math.round(seconds)), "second");
  if (seconds < 5400) return count(Math.round(seconds / 60), "minute");
  return count(Math.round(seconds / 3600), "hour");
}

/** The files that a run skipped; read when somebody opens the list. @param {{job: Job}} props */
function SkippedList({ job }) {
  const [rows, setRows] = useState(/** @type {Skipped[]} */ ([]));
  const [next, setNext] = useState(/** @type {number | null} */ (0));
  const [said, setSaid] = useState("");
  const asking = useRef(false);
  const more = async () => {
    if (asking.current) return;
    asking.current = true;
    try {
      const answer = await call(`v1/jobs/${job.id}/skipped?after=${next}&limit=${PAGE}`);
      setRows((before) => [...before, ...answer.skipped]);
      setNext(answer.next_after);
      setSaid(REPORTS[answer.report] ?? "");
    } catch (problem) {
      setSaid(sentence(problem));
    }
    asking.current = false;
  };
  useEffect(() => void more(), []);
  return html`<ul class="plain reasons">
      ${rows.map(
        ({ path, name, reason }, i) => html`
        <li key=${i}><b title=${path}>${name}</b> ${reason}</li>`,
      )}</ul>
    ${said ? html`<p class="quiet">${said}</p>` : null}
    ${
      next !== null && rows.length
        ? html`
      <p><button type="button" onClick=${more}>Show more</button></p>`
        : null
    }`;
}

/** @param {{job: Job}} props */
function Run({ job }) {
  const [open, setOpen] = useState(false);
  const { kind, state, started_at: from, finished_at: to, done, segments, skipped, error, paths } = job;
  const what = [
    done ? `${count(done, "picture")}${skipped ? " looked at" : ""}` : "no new pictures",
    segments ? count(segments, "region") : "",
    lasted(from, to),
  ]
    .filter(Boolean)
    .join(", ");
  const others = paths.length - MOST_PATHS;
  const where = `${paths.slice(0, MOST_PATHS).join(", ")}${others > 0 ? ` and ${others} more` : ""}`;
  const bad = state === "failed" || state === "lost";
  return html`<li class="run">
    <p><b>${moment(from)}</b> · ${KINDS[kind] ?? kind} · <span class=${bad ? "bad" : ""}>${ENDS[state]}</span>
      ${` · ${what}`}</p>
    ${paths.length ? html`<p class="quiet path">${where}</p>` : null}
    ${error ? html`<p class="bad">${error}</p>` : null}
    ${
      state === "lost"
        ? html`<p class="quiet">Its process ended without a word. Start it again: it goes on
      where it was.</p>`
        : null
    }
    ${
      skipped
        ? html`<p><button type="button" class="link" aria-expanded=${String(open)}
      onClick=${() => setOpen(!open)}>${unindexed(skipped)}</button></p>`
        : null
    }
    ${open ? html`<${SkippedList} job=${job} />` : null}
  </li>`;
}

/** The runs, newest first. @param {{last: Job[]}} props `last` are the newest, as they are followed */
export function Runs({ last }) {
  const [older, setOlder] = useState(/** @type {Job[]} */ ([]));
  const [end, setEnd] = useState(false);
  const [problem, setProblem] = useState("");
  const newest = new Set(last.map(({ id }) => id));
  const jobs = [...last, ...older.filter(({ id }) => !newest.has(id))];
  const more = async () => {
    try {
      const answer = await call(`v1/jobs?before=${jobs[jobs.length - 1].id}&limit=${PAGE}`);
      setOlder([...older, ...answer.jobs]);
      setEnd(answer.next_before === null);
      setProblem("");
    } catch (wrong) {
      setProblem(sentence(wrong));
    }
  };
  if (!jobs.length) return html`<p class="quiet">Nothing has been indexed yet.</p>`;
  return html`<ul class="plain rows">${jobs.map((job) => html`<${Run} key=${job.id} job=${job} />`)}</ul>
    ${problem ? html`<p class="bad" role="alert">${problem}</p>` : null}
    ${
      end || jobs.length < LAST_RUNS
        ? null
        : html`
      <p><button type="button" onClick=${more}>Older ones</button></p>`
    }`;
}

/** A picture's face, where it can be drawn. @param {{image: number}} props */
function Face({ image }) {
  const [broken, setBroken] = useState(false);
  return html`<span class="face">${
    broken
      ? html`<span aria-hidden="true">?</span>`
      : html`<img alt="" loading="lazy" src=${thumbnail(image, 160)} onError=${() => setBroken(true)} />`
  }
  </span>`;
}

/**
 * Pictures that gave nothing, with the reasons.
 * @param {{failed: number, quarantined: number, mayWrite: boolean}} props how many there are
 */
export function FailedPictures({ failed, quarantined, mayWrite }) {
  const [rows, setRows] = useState(/** @type {Failed[]} */ ([]));
  const [problem, setProblem] = useState("");
  const [most, setMost] = useState(PAGE);
  const [left, setLeft] = useState(/** @type {number[]} */ ([])); // removed, as long as that can be undone
  const all = failed + quarantined;
  useEffect(() => {
    let here = true;
    const page = async (/** @type {string} */ state, /** @type {number} */ many) =>
      many ? (await call(`v1/images?state=${state}&limit=${most}`)).images : [];
    Promise.all([page("failed", failed), page("quarantined", quarantined)]).then(
      ([some, others]) => {
        if (here) setRows([...some, ...others].slice(0, most));
      },
      (wrong) => here && setProblem(sentence(wrong)),
    );
    return () => {
      here = false;
    };
  }, [failed, quarantined, most]);
  const again = (/** @type {number} */ image) => {
    setRows(rows.filter((row) => row.image_id !== image));
    void retry([image]);
  };
  const remove = (/** @type {number} */ image, /** @type {string} */ name) => {
    const show = (/** @type {boolean} */ seen) =>
      setLeft((before) => (seen ? before.filter((one) => one !== image) : [...before, image]));
    show(false);
    later(`${name} was removed from the library.`, {
      undo: () => show(true),
      async done(options) {
        try {
          await post("v1/images/remove", { image_ids: [image] }, options);
        } catch (wrong) {
          show(true);
          notify(`Not removed. ${sentence(wrong)}`, { bad: true });
        }
        void refresh();
      },
    });
  };
  const row = (/** @type {Failed} */ { image_id: id, paths: [path], state, reason }) => html`
    <li class="failed" key=${id}>
      <${Face} image=${id} />
      <div>
        <p><${Go} to=${{ ...query(), image: id, segment: 0 }} act=${() => openPicture(id)} title=${path}>${nameOf(path)}<//></p>
        <p class="quiet">${reason ?? UNSAID[state] ?? "No reason was kept."}</p>
      </div>
      ${
        mayWrite
          ? html`<div class="buttons">
        <button type="button" aria-label=${`Try ${nameOf(path)} again`}
          onClick=${() => again(id)}>Try again</button>
        <button type="button" aria-label=${`Remove ${nameOf(path)}`}
          onClick=${() => remove(id, nameOf(path))}>Remove</button></div>`
          : null
      }
    </li>`;
  const more = () => setMost(Math.min(MOST_FAILED, most + 100));
  return html`<ul class="plain rows">${rows.filter(({ image_id: id }) => !left.includes(id)).map(row)}</ul>
    ${problem ? html`<p class="bad" role="alert">${problem}</p>` : null}
    ${
      all > rows.length && rows.length >= most && most < MOST_FAILED
        ? html`
      <p><button type="button" onClick=${more}>Show more</button></p>`
        : null
    }`;
}
