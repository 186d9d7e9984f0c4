"""Shows progress, hits, counts and errors on a terminal; makes no decisions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from segsearch.cli.options import LISTED
from segsearch.core.names import file_of
from segsearch.core.plain import plain_text

if TYPE_CHECKING:
    from segsearch.core.answers import SceneAnswer
    from segsearch.core.status import IndexGlance, RowLayout, Status
    from segsearch.core.types import IngestReport, Job
    from segsearch.export.captioning import CaptionReport
    from segsearch.ingest.run import Report
    from segsearch.ingest.worker import Step
    from segsearch.storage.region_maps import RegionMap

WIDE_COLUMNS = 100  # a terminal this wide has room for boxes, areas and file names
TEXT_SIGNS = 60  # of the text of a region, in a table


def say_error(text: str) -> None:
    """One sentence on standard error, red on a terminal, never broken into lines."""
    console = Console(stderr=True)
    console.print(f"segsearch: {text}", style="red", markup=False, highlight=False, soft_wrap=True)


@contextmanager
def progress_bar(console: Console, *, quiet: bool = False) -> Iterator[Report | None]:
    """A callback for `index` that draws images and masks done, their rates, and the time left.

    It draws nothing before the first picture, so that a run that is refused draws nothing.
    """
    if quiet:
        yield None
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=12),
        TextColumn("{task.completed:.0f}/{task.total:.0f}"),
        TextColumn("{task.fields[rate]}"),
        TextColumn("{task.fields[masks]}"),
        TextColumn("{task.fields[skipped]}"),
        TextColumn("left"),
        TimeRemainingColumn(compact=True),
        TextColumn("{task.fields[file]}"),
    )
    bar = Progress(*columns, console=console, speed_estimate_period=60)
    task = bar.add_task("Indexing", total=None, rate="", masks="", skipped="", file="")
    masks = skipped = shots = 0
    seconds = 0.0

    def report(done: int, total: int, step: Step) -> None:
        nonlocal masks, skipped, shots, seconds
        masks += step.segments
        shots += step.video_seconds is not None
        seconds += step.video_seconds or 0.0
        of_videos = f", {_of_videos(shots, seconds)}" if shots else ""
        skipped += step.reason is not None
        elapsed = max(bar.tasks[0].elapsed or 0.0, 1e-9)
        bar.update(
            task,
            completed=done,
            total=total,
            rate=f"{done / elapsed:.2f} images/s",
            masks=f"{masks} masks, {masks / elapsed:.0f}/s{of_videos}",
            skipped=f"{skipped} skipped",
            file=escape(Path(step.path).name[-24:]) if console.width >= WIDE_COLUMNS else "",
        )
        bar.start()

    try:
        yield report
    finally:
        if bar.live.is_started:
            bar.stop()


@contextmanager
def caption_bar(
    console: Console, *, quiet: bool = False
) -> Iterator[Callable[[CaptionReport], None] | None]:
    """A callback for captioning that draws how many regions are captioned, and how fast."""
    if quiet:
        yield None
        return
    columns = (TextColumn("Captioning"), TextColumn("{task.fields[counts]}"), TimeElapsedColumn())
    with Progress(*columns, console=console) as bar:
        task = bar.add_task("", total=None, counts="")

        def report(progress: CaptionReport) -> None:
            rate = progress.captioned / progress.seconds if progress.seconds > 0 else 0.0
            counts = f"{progress.captioned} captioned, {len(progress.failed)} failed, {rate:.1f}/s"
            bar.update(task, counts=counts)

        yield report


@contextmanager
def map_bar(console: Console, *, quiet: bool = False) -> Iterator[Callable[[str, float], None]]:
    """A callback for the making of a map that draws what is being done, and how far it is."""
    if quiet:
        yield lambda _step, _done: None
        return
    columns = (TextColumn("{task.description}"), BarColumn(bar_width=24), TimeElapsedColumn())
    with Progress(*columns, console=console) as bar:
        task = bar.add_task("starting", total=1.0)

        def say(step: str, done: float) -> None:
            bar.update(task, description=step, completed=done)

        yield say


def cluster_table(console: Console, made: RegionMap) -> None:
    """What a map holds: its clusters by size, with their words and examples."""
    how = "UMAP" if made.method == "umap" else "the first two principal components"
    console.print(f"{len(made.points)} regions laid out by {how}.", highlight=False)
    table = Table("cluster", "regions", "words", "segments such as")
    for cluster in sorted(made.clusters, key=lambda cluster: -cluster.regions):
        examples = ", ".join(map(str, cluster.examples))
        words = ", ".join(cluster.words)
        table.add_row(str(cluster.cluster), str(cluster.regions), words, examples)
    if made.clusters:
        console.print(table)


def report_table(console: Console, report: IngestReport) -> None:
    """What a run of `index` did, and the files that it skipped with the reasons."""
    from segsearch.ingest.live_clips import LIVE_CLIP

    skipped = [file for file in report.skipped if file.reason != LIVE_CLIP]
    console.print(
        f"{report.indexed} pictures indexed with {report.segments} segments, "
        f"{report.unchanged} unchanged, {len(skipped)} skipped, "
        f"in {report.seconds:.1f} s.",
        highlight=False,
    )
    if report.shots:
        said = _of_videos(report.shots, report.video_seconds)
        console.print(f"Of them {said}.", highlight=False)
    if report.read:
        console.print(
            f"{report.read} pictures read: {report.lines} lines of text.", highlight=False
        )
    if report.excluded:
        console.print(
            f"{report.excluded} files that the library knows are left out by the globs now, and "
            "stay: `segsearch prune --excluded` forgets them.",
            markup=False, highlight=False, soft_wrap=True,
        )  # fmt: skip
    if clips := len(report.skipped) - len(skipped):
        what = "1 clip of a live photo" if clips == 1 else f"{clips} clips of live photos"
        console.print(f"{what} left with {'its still' if clips == 1 else 'their stills'}.")
    if report.lost:
        count = len(report.lost)
        what = "1 video has lost a part" if count == 1 else f"{count} videos have lost parts"
        console.print(f"{what}; the rest is indexed.", highlight=False)
    for file in report.lost[:LISTED]:
        console.print(
            f"  lost of {file.path}: {file.reason}", markup=False, highlight=False, soft_wrap=True
        )
    for file in skipped[:LISTED]:
        console.print(
            f"  skipped {file.path}: {file.reason}", markup=False, highlight=False, soft_wrap=True
        )
    more = Counter(file.reason for file in skipped[LISTED:])
    for reason, count in more.most_common(LISTED):
        console.print(f"  skipped {count} more: {reason}", markup=False, highlight=False)


def _of_videos(shots: int, seconds: float) -> str:
    """How much of videos was indexed."""
    return f"{shots} shot{'' if shots == 1 else 's'}, {seconds / 60:.1f} minutes of video"


def hit_table(
    console: Console,
    hits: Sequence[Mapping[str, Any]],
    title: str | None = None,
    *,
    message: str | None = None,
    cursor: str | None = None,
) -> None:
    """Documents of hits, best first, and how to see more; without any, the message that says why.

    On a narrow terminal boxes and areas are left out, so that most paths stay in one line.
    """
    if not hits:
        console.print(message or "Nothing found.", markup=False, highlight=False)
        return
    table = Table(title=title, title_justify="left")
    is_wide = console.width >= WIDE_COLUMNS
    numbers = ("box (x0, y0, x1, y1)", "area") if is_wide else ()
    for name in ("rank", "score", "relevance", "segment", *numbers):
        table.add_column(name, justify="right")
    table.add_column("picture", overflow="fold")
    has_text, has_captions = (any(hit[name] for hit in hits) for name in ("lines", "captions"))
    if has_text:
        table.add_column("text", overflow="fold")
    if has_captions:
        table.add_column("caption", overflow="fold")
    for hit in hits:
        cells = _hit_cells(hit, is_wide=is_wide)
        if has_text:
            cells.append(escape(_text_cell(hit["lines"])))
        if has_captions:
            cells.append(
                escape(plain_text(captions[0]["text"]) if (captions := hit["captions"]) else "")
            )
        table.add_row(*cells)
    console.print(table)
    if cursor:
        console.print(f"More: --cursor {cursor}", markup=False, highlight=False, soft_wrap=True)


def _hit_cells(hit: Mapping[str, Any], *, is_wide: bool) -> list[str]:
    relevance = "" if hit["relevance"] is None else f"{hit['relevance']:.2f}"
    cells = [str(hit["rank"]), f"{hit['score']:.3f}", relevance, str(hit["segment_id"])]
    if is_wide:
        share = hit["area"] / (hit["height"] * hit["width"])
        cells += [", ".join(map(str, hit["box"])), f"{share:.1%}"]
    return [*cells, escape(_place(hit))]


def _place(hit: Mapping[str, Any]) -> str:
    """Where a hit's picture lies; of one in a video, also when it is there."""
    path, life = hit["path"] or "", hit["life"]
    if life is None:
        return _short(path)
    return f"{_short(file_of(path))} at {clock(life['t_start'])}-{clock(life['t_end'])}"


def clock(seconds: float) -> str:
    """A moment of a video as players show it: 0:07, 1:02:03."""
    minutes, second = divmod(int(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"


def _text_cell(lines: Sequence[Mapping[str, Any]]) -> str:
    """The lines that were asked for, or else all, in short."""
    shown = [line for line in lines if line["found"]] or lines
    text = plain_text(" / ".join(line["text"] for line in shown))
    return text if len(text) <= TEXT_SIGNS else f"{text[: TEXT_SIGNS - 1]}…"


def scene_table(console: Console, answer: SceneAnswer) -> None:
    """Scenes, best first, each with the segment that fills each slot; or why there are none."""
    if not answer.hits:
        console.print(answer.message or "Nothing found.", markup=False, highlight=False)
        return
    table = Table()
    for name in ("rank", "fit", "relevance"):
        table.add_column(name, justify="right")
    names = tuple(answer.hits[0].regions)
    for name in names:
        table.add_column(escape(name), justify="right")
    table.add_column("picture", overflow="fold")
    for hit in answer.hits:
        filled = [str(hit.regions[name].segment.id) for name in names]
        path = hit.image.paths[0] if hit.image.paths else ""
        relevance = "" if hit.relevance is None else f"{hit.relevance:.2f}"
        place = escape(_short(path))
        table.add_row(str(hit.rank), f"{hit.fit:.2f}", relevance, *filled, place)
    console.print(table)


def status_table(console: Console, status: Status) -> None:
    """Counts of a library, who fills it, and below them what is wrong with it, and what helps."""
    table = Table(show_header=False)
    disk = status.disk
    holders = [f"{one.who}: {one.pictures} pictures" for one in status.workers]
    said = {
        "jobs": ", ".join(map(_job_line, status.jobs)) or "none",
        "disk": f"{disk.free_bytes / 1e9:.1f} GB free of {disk.total_bytes / 1e9:.1f} GB",
        "workers": ", ".join(holders) or "none",
        "index": "none" if status.index is None else _index_line(status.index),
    }
    for name, value in (asdict(status) | said).items():
        if name != "problems":
            table.add_row(name, escape(str(value)))
    console.print(table)
    for problem in status.problems:
        text = f"{problem.severity.value}: {problem.what} {problem.fix}"
        console.print(text, markup=False, highlight=False, soft_wrap=True)


def _job_line(job: Job) -> str:
    stage = f", {job.stage.value.replace('_', ' ')}" if job.stage else ""
    return f"{job.kind} {job.id}: {job.done} of {job.total} pictures{stage}"


def _index_line(index: IndexGlance) -> str:
    if index.layout is None:
        return "not written yet"
    how = f"{way_of(index.layout)} ({index.engine})"
    return f"{index.regions:,} regions, {how}, {index.behind:,} changes behind"


def way_of(layout: RowLayout) -> str:
    """How an index that lies like this is searched."""
    ways = {"flat": "comparing with each", "lists": "by lists of alike ones"}
    return ways.get(layout.value, "along a graph of neighbours")


def _short(path: str) -> str:
    """A path below the current folder as the user would type it; any other as it is."""
    try:
        return str(Path(path).relative_to(Path.cwd()))
    except ValueError:
        return path
