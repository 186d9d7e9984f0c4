// What fills the library while the page is open: one line, from the server's stream of events.

const count = (n, one) => `${n.toLocaleString("en")} ${one}${n === 1 ? "" : "s"}`;
const nameOf = (path) => (path || "").split(/[\\/]/).pop();

/** One run in words: `Indexing 12 of 60 pictures · 340 regions · 2 skipped · cat.jpg`. */
export function describe({ done, total, segments, skipped, current }) {
  const parts = [`Indexing ${done.toLocaleString("en")} of ${count(Math.max(total, done), "picture")}`, count(segments, "region")];
  if (skipped) parts.push(`${skipped.toLocaleString("en")} skipped`);
  if (current) parts.push(nameOf(current));
  return parts.join(" · ");
}

/** Show running jobs in `line` and `bar`; `changed` is called when something was added, or ended,
 * or may have been: whenever the server answers again, or answers no more. */
export function follow(line, bar, changed) {
  let stream = null, before = 0, missed = document.hidden;
  const told = (event) => {
    const { jobs } = JSON.parse(event.data);
    const active = jobs.filter((job) => job.total > 0);
    line.textContent = active.map(describe).join("; ");
    line.hidden = bar.hidden = active.length === 0;
    const sum = (key) => active.reduce((all, job) => all + job[key], 0);
    bar.max = Math.max(1, sum("total"));
    bar.value = sum("done");
    if (sum("done") !== before) changed();
    before = sum("done");
  };
  const listen = () => {
    stream = new EventSource("v1/jobs/events");
    stream.addEventListener("open", () => {
      if (missed) changed();
      missed = false;
    });
    // A connection that broke is opened again by the browser; one that was refused is not.
    stream.addEventListener("error", () => {
      line.hidden = bar.hidden = missed = true;
      changed();
    });
    stream.addEventListener("jobs", told);
  };
  // A browser opens six connections to a server, for all tabs: those that nobody sees leave theirs.
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden) return listen();
    stream?.close();
    missed = true;
  });
  if (!document.hidden) listen();
}
