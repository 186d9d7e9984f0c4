"""What `status` says of a library; crosses HTTP and the command line as it is."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field
from pydantic.dataclasses import dataclass as validated

from segsearch.core.types import Job


class Severity(StrEnum):
    """How bad a problem is: an error keeps something from working."""

    ERROR = "error"
    WARNING = "warning"


class RowLayout(StrEnum):
    """How an index lies: every row is compared with, or those of a few lists, or those that are
    met on a walk along a graph of neighbours."""

    FLAT = "flat"
    LISTS = "lists"
    GRAPH = "graph"


@validated(frozen=True, slots=True)
class LibraryProblem:
    """What is wrong with a library, in sentences for a person."""

    code: Annotated[str, Field(description="What to compare with: stable, in snake case.")]
    severity: Annotated[Severity, Field(description="`error`: something does not work.")]
    what: Annotated[str, Field(description="What is wrong.")]
    fix: Annotated[str, Field(description="What helps.")]


@validated(frozen=True, slots=True)
class DiskSpace:
    """The disk that holds a library, as far as this user may fill it."""

    free_bytes: int
    total_bytes: int


@validated(frozen=True, slots=True)
class PictureHolder:
    """A process that holds pictures: it puts them through the models now, or is about to."""

    who: Annotated[str, Field(description="In words.")]
    host: str
    process: Annotated[int, Field(description="Its number on that host.")]
    device: Annotated[str | None, Field(description="Where its models run; null if unknown.")]
    pictures: Annotated[int, Field(description="How many it holds.")]
    since: Annotated[
        str | None, Field(description="When its job began, ISO 8601 in UTC; null if unknown.")
    ]


@validated(frozen=True, slots=True)
class IndexGlance:
    """How an index stands, as far as that can be told without loading it."""

    regions: Annotated[int, Field(description="How many it holds.")]
    generation: Annotated[
        int | None,
        Field(description="Of the newest snapshot, or of the rows; null when there is none."),
    ]
    behind: Annotated[
        int, Field(description="Changes of the catalog that the next search takes up, at most.")
    ]
    layout: Annotated[
        RowLayout | None,
        Field(description="`lists`, `graph`: a search looks at a part; null when none is there."),
    ]
    loaded: Annotated[bool, Field(description="Whether this process has it in memory.")]
    engine: Annotated[str, Field(description="What holds the rows, such as `faiss`.")] = "faiss"


@validated(frozen=True, slots=True)
class Status:
    """Counts over a whole library, who fills it, and what is wrong with it."""

    images: int
    segments: int
    pending: Annotated[int, Field(description="Images that wait for a worker, or are with one.")]
    failed: int
    quarantined: Annotated[int, Field(description="Images that crashed the models twice.")]
    read: Annotated[int, Field(description="Images whose text has been read.")]
    to_read: Annotated[int, Field(description="Images whose text alone waits to be read.")]
    unreadable: Annotated[int, Field(description="Images whose text could not be read.")]
    lines: Annotated[int, Field(description="Lines of text in them.")]
    near_duplicates: Annotated[int, Field(description="Images that look almost like another.")]
    missing: Annotated[int, Field(description="Paths whose files were gone when last looked for.")]
    excluded: Annotated[int, Field(description="Paths that the globs of their last run leave out.")]
    videos: Annotated[int, Field(description="Files whose shots are among the images.")]
    preset: Annotated[
        str | None, Field(description="Models and settings of the library; null when empty.")
    ]
    bytes: Annotated[
        int, Field(description="What the library's folder takes on disk, up to a minute ago.")
    ]
    library: str
    recipe: Annotated[str | None, Field(description="Fingerprint of what made masks and vectors.")]
    schema: Annotated[str, Field(description="Revision of the catalog's tables.")]
    jobs: Annotated[tuple[Job, ...], Field(description="Runs under way, newest first.")]
    disk: Annotated[DiskSpace, Field(description="The disk that holds the library.")]
    workers: Annotated[
        tuple[PictureHolder, ...], Field(description="Processes that hold pictures now.")
    ]
    index: Annotated[
        IndexGlance | None, Field(description="The index of what searches use; null when empty.")
    ]
    paused: Annotated[
        bool, Field(description="A job was cancelled: workers wait until they are to go on.")
    ]
    read_only: Annotated[bool, Field(description="This server can search it, not change it.")]
    problems: Annotated[
        tuple[LibraryProblem, ...], Field(description="What a person should know, errors first.")
    ]
