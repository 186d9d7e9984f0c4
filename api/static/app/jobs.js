// What fills the library: the running jobs, from the server's stream of events, and how the library
// stands, which is asked for when that may have changed.

import { useEffect, useState } from "../vendor/preact.js";
import { call, post, Refusal, sentence } from "./api.js";
import { count, nameOf } from "./sayings.js";
import { go, query } from "./store.js";
import { notify } from "./ui.js";

/** @import {Job, Status} from "./types.d.ts" */

/**
 * @typedef {object} Following
 * @property {Job[]} jobs those that run
 * @property {Status | null} status null until the server has told
 * @property {Job[]} last the newest runs, ended ones, too
 * @property {boolean} away whether the server does not answer
 */

const REFRESH_MS = 3000; // while something runs or waits
const CHANGED_MS = 2000; // between two looks at what was added
const AGAIN_MS = 4000; // after a stream that was refused
export const LAST_RUNS = 20;

/** @type {Following} */
let now = { jobs: [], status: null, last: [], away: false };
/** @type {Set<() => void>} */
const listeners = new Set();
/** Called when the server answers again. @type {Set<() => void>} */
const returns = new Set();
/** Runs whose end was told, or that had ended before. @type {Set<number> | null} */
let told = null;
/** How often this page has sent pictures since it last told of their end. */
let sent = 0;
/** Whether the stream of events is open. */
let streaming = false;
/** How far the library's changes are, as the stream tells. */
let point = -1;

/** @param {Partial<Following>} changes */
function set(changes) {
  now = { ...now, ...changes };
  for (const listener of listeners) listener();
}

/** @param {() => void} listener */
export const onReturn = (listener) => {
  returns.add(listener);
  return () => void returns.delete(listener);
};

/**
 * How many pictures a run has to deal with: those that waited when it began, and what has come since.
 * @param {Job} job
 */
export function totalOf({ id, done, total }) {
  const [job, ...others] = now.status?.jobs ?? [];
  const since = job?.id === id && !others.length ? job.done + (now.status?.pending ?? 0) : 0;
  return Math.max(done, total, since);
}

/** What is done now, in words. @param {Job} job */
export function stageOf(job) {
  const { stage, stopping, done, current, skipped } = job,
    total = totalOf(job);
  if (stopping) return "Stopping after the pictures under way";
  if (stage === "scanning") return "Looking for pictures";
  if (stage === "loading_models") return "Loading the models";
  if (stage === "saving") return "Saving the index";
  const many = total ? ` ${done.toLocaleString("en")} of ${count(total, "picture")}` : "";
  const lost = skipped ? `${skipped.toLocaleString("en")} could not be` : "";
  return [`Indexing${many}`, lost, current ? nameOf(current) : ""].filter(Boolean).join(" · ");
}

/** What the status view is opened by. */
const showStatus = () => go({ ...query(), view: "status", image: 0, segment: 0 });

/** What gave nothing, in words. @param {number} many @param {string} [noun] */
export const unindexed = (many, noun = "file") => `${count(many, noun)} could not be indexed`;

/** Tell how a run has ended that was not seen to end before. @param {Job} job */
function tellEnd(job) {
  const more = { text: "Show", run: showStatus };
  if (job.state === "failed") notify(`Indexing has failed: ${job.error}`, { bad: true, act: more });
  else if (job.state === "lost") {
    notify("Indexing was killed; nothing that was stored is lost.", { bad: true, act: more });
  } else if (job.skipped) {
    const rest = sent && job.done > job.skipped ? "; what could be can be searched now" : "";
    notify(`${unindexed(job.skipped)}${rest}.`, { bad: true, act: more });
  } else if (sent && job.state === "done" && job.done) {
    notify(`${count(job.done, "picture")} can be searched now.`);
  }
}

/** @type {ReturnType<typeof setTimeout> | undefined} */
let later;
/** @type {Promise<void> | null} */
let asking = null;

/** Ask how the library stands; once more while something runs or waits. */
export function refresh() {
  clearTimeout(later);
  asking ??= look().finally(() => {
    asking = null;
  });
  return asking;
}

/** Ask anew after something was done: a look under way may have begun before. */
async function refreshAfter() {
  await asking?.catch(() => {}); // its caller hears of that
  return refresh();
}

async function look() {
  const had = sent;
  try {
    const asked = [call("v1/status"), call(`v1/jobs?limit=${LAST_RUNS}`)];
    const [status, { jobs: last }] = await Promise.all(asked);
    const ended = /** @type {Job[]} */ (last).filter((job) => job.state !== "running");
    const before = told;
    told = new Set(ended.map((job) => job.id));
    if (before) for (const job of ended) if (!before.has(job.id)) tellEnd(job);
    const works = status.pending > 0 || status.jobs.length > 0;
    if (!works && sent === had) sent = 0;
    const returned = now.away;
    set({ status, last, away: false, ...(streaming ? {} : { jobs: status.jobs }) });
    if (returned) for (const back of returns) back();
    if (works && !document.hidden) later = setTimeout(() => void refresh(), REFRESH_MS);
  } catch (problem) {
    if (!(problem instanceof Refusal)) throw problem;
    // The request has asked for a key, or it is said where somebody acts.
    if (problem.status === 401 || problem.status === 403) return;
    const works = now.jobs.length > 0 || (now.status?.pending ?? 0) > 0;
    if (!problem.status) set({ away: true, jobs: [] });
    else if (!works) return;
    if (!document.hidden) later = setTimeout(() => void refresh(), AGAIN_MS);
  }
}

/** This page has sent pictures: see to it that they are heard of. */
export function noteSent() {
  sent++;
  void refreshAfter();
}

/** What a change of which tells that there is more, or less, to be seen. */
function seen() {
  const { status, jobs } = now;
  const done = jobs.reduce((sum, job) => sum + job.done, 0);
  if (!status) return null;
  const { images, pending, failed, quarantined, segments } = status;
  return { running: done, stored: `${images - pending - failed - quarantined} ${segments}` };
}

/**
 * Follow the jobs while the page is seen; `changed` is called when pictures were added or went, at
 * most once in two seconds. What comes back ends that.
 * @param {() => void} changed
 */
export function followJobs(changed) {
  /** @type {EventSource | null} */
  let stream = null;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let again;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let throttled;
  let before = seen(),
    last = 0;
  const tell = () => {
    clearTimeout(throttled);
    throttled = setTimeout(
      () => {
        last = Date.now();
        changed();
      },
      Math.max(0, last + CHANGED_MS - Date.now()),
    );
  };
  const watch = () => {
    const next = seen();
    if (next && before && (next.stored !== before.stored || next.running > before.running)) tell();
    before = next ?? before;
  };
  const listen = () => {
    clearTimeout(again);
    stream?.close();
    stream = new EventSource("v1/jobs/events");
    stream.addEventListener("open", () => {
      streaming = true;
      void refresh();
    });
    stream.addEventListener("error", () => {
      // A connection that broke is opened again by the browser; one that was refused is not. To ask
      // says why, or asks for a key.
      streaming = false;
      void refresh();
      if (stream?.readyState === EventSource.CLOSED) again = setTimeout(listen, AGAIN_MS);
    });
    stream.addEventListener("jobs", (event) => {
      /** @type {{jobs: Job[], changes: number}} */
      const { jobs, changes } = JSON.parse(event.data);
      const elsewhere = !jobs.length && changes !== point; // pictures that another page has removed
      point = changes;
      const ids = jobs.map((job) => job.id).join();
      const others = ids !== now.jobs.map((job) => job.id).join();
      set({ jobs });
      if (others || elsewhere) void refresh();
    });
  };
  // A browser opens six connections to a server, for all tabs: those that nobody sees leave theirs.
  const visible = () => {
    if (!document.hidden) return listen();
    stream?.close();
    streaming = false;
    clearTimeout(again);
    return clearTimeout(later);
  };
  listeners.add(watch);
  document.addEventListener("visibilitychange", visible);
  const focus = () => void refresh(); // what the stream may not have told
  addEventListener("focus", focus);
  if (!document.hidden) listen();
  return () => {
    listeners.delete(watch);
    document.removeEventListener("visibilitychange", visible);
    removeEventListener("focus", focus);
    stream?.close();
    streaming = false;
    for (const timer of [again, throttled, later]) clearTimeout(timer);
  };
}

/** What is followed, in a view that is drawn again when it changes. @returns {Following} */
export function useJobs() {
  const [, draw] = useState({});
  useEffect(() => {
    const listener = () => draw({});
    listeners.add(listener);
    return () => void listeners.delete(listener);
  }, []);
  return now;
}

/** Do something on the server, say what went wrong, and look again. @param {() => Promise<unknown>} act */
async function doing(act) {
  try {
    await act();
  } catch (problem) {
    notify(sentence(problem), { bad: true });
  }
  await refreshAfter();
}

/** End a run after the pictures under way; what waits still waits. @param {Job} job */
export function cancel(job) {
  set({ jobs: now.jobs.map((one) => (one.id === job.id ? { ...one, stopping: true } : one)) });
  return doing(() => post(`v1/jobs/${job.id}/cancel`, {}));
}

/** Let workers go on. */
export const resume = () => doing(() => post("v1/jobs/resume", {}));

/** Let pictures wait again that failed. @param {number[] | null} images null for all of them */
export const retry = (images) =>
  doing(async () => {
    sent++;
    const { changed } = await post("v1/images/retry", { image_ids: images });
    notify(changed ? `${count(changed, "picture")} will be tried again.` : "There is nothing to try again.");
  });
