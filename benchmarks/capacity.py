"""Replays a day of ingest and searches against measured service times: where do queues form?

    python -m benchmarks.capacity measure --library LARGE --pictures DIR --write times.json
    python -m benchmarks.capacity replay --times times.json --pictures 40000 --searches 200000

A simulation of discrete events (SimPy). Pictures come in batches (an album, a card of a camera):
they are entered one after the other under the writers' lock; each waits for a model process, is
described, and stored under the lock again, while its process waits. Searches come one by one, go
to the node with the fewest of them, as nginx sends them, and wait there for one of its slots; a
node in whose line `waiting` stand already refuses. Both follow the hours of a day. Service times
are drawn from those measured, and are those of one processor: a node gets a slot for each.
"""

from __future__ import annotations

import argparse
import itertools
import json
import time
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import simpy

HOUR_SECONDS = 3600.0
# Shares of a day in its hours: few at night, most in the morning and in the evening.
HOURS = (1, 1, 1, 1, 1, 2, 3, 5, 7, 8, 8, 7, 6, 6, 6, 6, 5, 5, 6, 7, 7, 5, 3, 2)
SEARCHES, WARM = 40, 3
SHOWN = (50, 95, 99)
Steps = Generator[simpy.Event, Any, None]


@dataclass(frozen=True)
class ServiceTimes:
    """Seconds that were measured of each step; one number is a constant."""

    record: tuple[float, ...]  # entering a picture, under the writers' lock
    describe: tuple[float, ...]  # its models, on one processor or GPU
    commit: tuple[float, ...]  # storing it, under the lock
    search: tuple[float, ...]  # words that are new

    @classmethod
    def read(cls, path: Path) -> ServiceTimes:
        found = json.loads(path.read_text("utf-8"))
        return cls(**{name: tuple(found[name]) for name in cls.__dataclass_fields__})


@dataclass(frozen=True)
class Fleet:
    """What serves: model processes, API nodes, their slots, and how many may stand in line."""

    processes: int = 2
    nodes: int = 2
    slots: int = 2
    waiting: int = 64


@dataclass(frozen=True)
class Day:
    """What comes: how many pictures, in batches of so many on average, and how many searches."""

    pictures: int
    searches: int
    batch: float = 50.0
    hours: tuple[float, ...] = HOURS


@dataclass
class Station:
    """A place where work waits for one of `servers`, and what is noted of it."""

    name: str
    clock: simpy.Environment
    resource: simpy.Resource
    arrivals: list[float] = field(default_factory=list)  # seconds of the day
    waits: list[float] = field(default_factory=list)  # seconds, in the order of being served
    queues: dict[int, int] = field(default_factory=dict)  # the longest of each hour
    busy_seconds: float = 0.0
    refused: int = 0

    def arrive(self) -> simpy.resources.resource.Request:
        """A turn to wait for; used as a context manager."""
        turn = self.resource.request()
        self._note()
        return turn

    def _note(self) -> None:
        """Note how many wait: when one comes, and when one is done, since nobody may come while
        others wait."""
        hour = int(self.clock.now // HOUR_SECONDS)
        self.queues[hour] = max(self.queues.get(hour, 0), len(self.resource.queue))

    def served(self, arrived: float, began: float, ended: float) -> None:
        self.arrivals.append(arrived)
        self.waits.append(began - arrived)
        self.busy_seconds += ended - began
        self._note()

    @property
    def fullness(self) -> int:
        return int(self.resource.count + len(self.resource.queue))

    def utilisation(self, seconds: float) -> float:
        return self.busy_seconds / (seconds * self.resource.capacity)

    def percentiles(self) -> list[float]:
        """Seconds of waiting at `SHOWN`; none where nothing came."""
        return [float(value) for value in np.percentile(self.waits or [0.0], SHOWN)]


@dataclass(frozen=True)
class Replay:
    """A day that has been: its stations, and when the last work of it was done, in seconds."""

    lock: Station
    processes: Station
    nodes: tuple[Station, ...]
    seconds: float

    @property
    def stations(self) -> tuple[Station, ...]:
        return (self.processes, self.lock, *self.nodes)


class Replaying:
    """One day in a simulated clock."""

    def __init__(self, day: Day, fleet: Fleet, times: ServiceTimes, seed: int) -> None:
        self._rng = np.random.default_rng(seed)
        self._clock = simpy.Environment()
        self._times = {name: self._drawn(values) for name, values in asdict(times).items()}
        self._fleet, self._day = fleet, day
        self.lock = self._station("writers' lock", 1)
        self.processes = self._station("model processes", fleet.processes)
        self.nodes = tuple(self._station(f"node {n + 1}", fleet.slots) for n in range(fleet.nodes))

    def run(self) -> Replay:
        day = self._day
        pictures = batches(self._rng, day.pictures, day.batch, day.hours)
        searches = arrivals(self._rng, day.searches, day.hours)
        self._clock.process(self._come((at, self._batch(size)) for at, size in pictures))
        self._clock.process(self._come((at, self._search()) for at in searches))
        self._clock.run()
        seconds = max(float(self._clock.now), len(day.hours) * HOUR_SECONDS)
        return Replay(self.lock, self.processes, self.nodes, seconds)

    def _station(self, name: str, servers: int) -> Station:
        return Station(name, self._clock, simpy.Resource(self._clock, servers))

    def _drawn(self, values: Sequence[float]) -> Iterator[float]:
        """Measured values in random order, for ever."""
        while True:
            yield from self._rng.choice(np.asarray(values, float), 4096).tolist()

    def _come(self, what: Iterable[tuple[float, Steps]]) -> Steps:
        for instant, steps in what:
            yield self._clock.timeout(instant - self._clock.now)
            self._clock.process(steps)

    def _serve(self, station: Station, seconds: float) -> Steps:
        arrived = self._clock.now
        with station.arrive() as turn:
            yield turn
            began = self._clock.now
            yield self._clock.timeout(seconds)
            station.served(arrived, began, self._clock.now)

    def _batch(self, size: int) -> Steps:
        """One process enters the pictures one after the other; each can then be described."""
        for _ in range(size):
            yield from self._serve(self.lock, next(self._times["record"]))
            self._clock.process(self._picture())

    def _picture(self) -> Steps:
        arrived = self._clock.now
        with self.processes.arrive() as turn:
            yield turn
            began = self._clock.now
            yield self._clock.timeout(next(self._times["describe"]))
            yield from self._serve(self.lock, next(self._times["commit"]))
            self.processes.served(arrived, began, self._clock.now)

    def _search(self) -> Steps:
        node = min(self.nodes, key=lambda one: (one.fullness, len(one.waits)))
        if node.fullness >= self._fleet.slots + self._fleet.waiting:
            node.refused += 1
            return
        yield from self._serve(node, next(self._times["search"]))


def simulate(day: Day, fleet: Fleet, times: ServiceTimes, *, seed: int = 0) -> Replay:
    """A day with this fleet; the same seed gives the same day."""
    return Replaying(day, fleet, times, seed).run()


def arrivals(rng: np.random.Generator, count: int, hours: Sequence[float]) -> list[float]:
    """Seconds at which about `count` come: a Poisson process whose rate follows the hours."""
    shares = np.asarray(hours, float) / np.sum(hours)
    each = rng.poisson(count * shares)
    starts = np.repeat(np.arange(len(hours)) * HOUR_SECONDS, each)
    return sorted((starts + rng.uniform(0, HOUR_SECONDS, starts.size)).tolist())


def batches(
    rng: np.random.Generator, count: int, mean: float, hours: Sequence[float]
) -> list[tuple[float, int]]:
    """The same for what comes in batches: when, and how many, geometrically distributed."""
    instants = arrivals(rng, round(count / mean), hours)
    sizes = rng.geometric(1 / mean, len(instants))
    return list(zip(instants, sizes.tolist(), strict=True))


def table(replay: Replay) -> Iterator[str]:
    """What is printed: each station, then the hours in which somebody waits."""
    head = ("busy %", *(f"wait p{share} s" for share in SHOWN), "longest", "refused")
    yield f"{'':16}{'came':>9}" + "".join(f"{name:>12}" for name in head)
    for station in replay.stations:
        waits = "".join(f"{wait:12.3f}" for wait in station.percentiles())
        busy = station.utilisation(replay.seconds) * 100
        longest = max(station.queues.values(), default=0)
        yield (
            f"{station.name:16}{len(station.waits):9,}{busy:12.1f}{waits}{longest:12,}"
            f"{station.refused:12,}"
        )
    yield f"The last of the day is done {replay.seconds / HOUR_SECONDS:.1f} hours after its begin."
    yield ""
    yield "The longest queue of each hour"
    yield f"{'hour':>4}" + "".join(f"{station.name:>18}" for station in replay.stations)
    for hour in range(int(np.ceil(replay.seconds / HOUR_SECONDS))):
        lengths = "".join(f"{station.queues.get(hour, 0):18,}" for station in replay.stations)
        yield f"{hour:4}{lengths}"


def measure(library: str, pictures: Path, count: int, *, postgres: bool) -> dict[str, Any]:
    """The times of this machine: searches of the library that is there; pictures through its
    models' recipe, stored in an empty library beside it, on SQLite or on a PostgreSQL."""
    from segsearch.core.settings import Settings
    from segsearch.library import open_library

    with open_library(Settings(library=Path(library))) as searched:
        search = search_seconds(searched)
        regions = searched.status().segments
    with TemporaryDirectory() as folder:
        stored = stored_seconds(Path(folder), pictures, count, postgres=postgres)
    return {"engine": "PostgreSQL" if postgres else "SQLite", "regions": regions, **stored,
            "search": search}  # fmt: skip


def search_seconds(library: Any) -> list[float]:
    """Processor seconds of searches by words that are new: the whole call, all its threads."""
    from benchmarks.load import phrases

    taken = []
    for words in itertools.islice(phrases(), WARM + SEARCHES):
        began = time.process_time()
        library.search_text(words)
        taken.append(time.process_time() - began)
    return taken[WARM:]


def stored_seconds(
    folder: Path, pictures: Path, count: int, *, postgres: bool
) -> dict[str, list[float]]:
    """`record`, `describe` and `commit`: the lock's by the clock, the models' by the processor."""
    from contextlib import ExitStack

    from segsearch.core.settings import Settings
    from segsearch.media.decode import decode, read_file
    from segsearch.media.sources.reader import Sources
    from segsearch.models.loading import build_embedder, build_segmenter, find_model
    from segsearch.models.pipeline import Pipeline
    from segsearch.models.presets import preset, recipe_of
    from segsearch.storage.catalog.backend import Place, Server
    from segsearch.storage.catalog.sql_catalog import Catalog

    settings, chosen = Settings(device="cpu"), preset("demo")
    pipeline = Pipeline(
        build_segmenter(chosen, settings), build_embedder(chosen, settings), chosen.crop
    )
    taken: dict[str, list[float]] = {"record": [], "describe": [], "commit": []}
    with ExitStack() as stack:
        place: Place = folder / "catalog.sqlite"
        if postgres:
            from tools.postgres_server import PostgresServer

            server = stack.enter_context(PostgresServer())
            place = Server(server.create_database("capacity"), folder, create=True)
        catalog = Catalog(place)
        stack.callback(catalog.close)
        recipe_id = catalog.register_recipe(recipe_of(chosen, lambda n: find_model(settings, n)))
        stamps = Sources(settings).find([pictures]).files
        for number, (name, stamp) in enumerate(itertools.islice(stamps.items(), count + 1)):
            began = time.perf_counter()
            catalog.record_file(name, stamp, f"{number:064x}", recipe_id)
            recorded = time.perf_counter() - began
            claim = catalog.claim(recipe_id, "capacity", 600)
            used = time.process_time()
            described = pipeline.describe(*decode(read_file(Path(name))))
            used = time.process_time() - used
            began = time.perf_counter()
            catalog.commit(claim, described)  # type: ignore[arg-type]  # nobody else claims
            if number:  # the first one loads and warms
                taken["commit"].append(time.perf_counter() - began)
                taken["record"].append(recorded)
                taken["describe"].append(used)
    return taken


def main(words: Sequence[str] | None = None) -> None:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = options.add_subparsers(dest="command", required=True)
    measuring = commands.add_parser("measure", help="time this machine")
    measuring.add_argument("--library", required=True, help="one that is there, to be searched")
    measuring.add_argument("--pictures", type=Path, required=True, help="a folder of pictures")
    measuring.add_argument("--count", type=int, default=8, help="pictures that are described")
    measuring.add_argument("--postgres", action="store_true", help="store them in a PostgreSQL")
    measuring.add_argument("--write", type=Path, required=True)
    replaying = commands.add_parser("replay", help="simulate a day")
    replaying.add_argument("--times", type=Path, required=True, help="what `measure` wrote")
    for name in ServiceTimes.__dataclass_fields__:
        replaying.add_argument(f"--{name}", type=float, help="seconds, instead of those measured")
    replaying.add_argument("--pictures", type=int, default=20_000, help="a day")
    replaying.add_argument("--batch", type=float, default=Day.batch, help="pictures at once")
    replaying.add_argument("--searches", type=int, default=100_000, help="a day")
    for part, value in asdict(Fleet()).items():
        replaying.add_argument(f"--{part}", type=int, default=value)
    replaying.add_argument("--seed", type=int, default=0)
    chosen = options.parse_args(words)
    if chosen.command == "measure":
        found = measure(chosen.library, chosen.pictures, chosen.count, postgres=chosen.postgres)
        chosen.write.write_text(json.dumps(rounded(found), indent=1) + "\n", "utf-8")
        return
    given = {name: getattr(chosen, name) for name in ServiceTimes.__dataclass_fields__}
    times = replace(
        ServiceTimes.read(chosen.times),
        **{name: (value,) for name, value in given.items() if value is not None},
    )
    fleet = Fleet(**{name: getattr(chosen, name) for name in Fleet.__dataclass_fields__})
    day = Day(chosen.pictures, chosen.searches, chosen.batch)
    for line in table(simulate(day, fleet, times, seed=chosen.seed)):
        print(line)


def rounded(found: dict[str, Any]) -> dict[str, Any]:
    return {
        name: [round(one, 5) for one in value] if isinstance(value, list) else value
        for name, value in found.items()
    }


if __name__ == "__main__":
    main()
