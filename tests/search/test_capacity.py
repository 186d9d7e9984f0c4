"""The simulation of a day waits as long as queueing theory says, and shows where queues form."""

from __future__ import annotations

import math

import numpy as np
import pytest

from benchmarks.capacity import HOUR_SECONDS, Day, Fleet, Replay, ServiceTimes, simulate, table

EVENLY = (1.0,) * 24
DAY_SECONDS = 24 * HOUR_SECONDS
JOBS = 60_000
SERVICE_SECONDS = DAY_SECONDS / JOBS  # what one server could just do


def exponential(mean: float) -> tuple[float, ...]:
    """Values whose distribution is exponential: its quantiles in even steps."""
    shares = (np.arange(20_000) + 0.5) / 20_000
    return tuple((-mean * np.log1p(-shares)).tolist())


def times(**given: tuple[float, ...]) -> ServiceTimes:
    nothing = dict.fromkeys(("record", "describe", "commit", "search"), (0.0,))
    return ServiceTimes(**{**nothing, **given})


def mean_wait(replay: Replay) -> float:
    return float(np.mean(np.concatenate([node.waits for node in replay.nodes])))


@pytest.mark.parametrize("load", [0.3, 0.6, 0.8])
@pytest.mark.parametrize("kind", ["M/M/1", "M/D/1"])
def test_one_server_makes_wait_as_the_formula_says(load: float, kind: str) -> None:
    """Pollaczek and Khinchine: load * service / (1 - load), and half of it when all are alike."""
    service = load * SERVICE_SECONDS
    drawn = exponential(service) if kind == "M/M/1" else (service,)
    fleet = Fleet(nodes=1, slots=1, waiting=10**9)
    replay = simulate(Day(0, JOBS, hours=EVENLY), fleet, times(search=drawn), seed=1)
    wanted = load * service / (1 - load) * (1 if kind == "M/M/1" else 0.5)
    assert mean_wait(replay) == pytest.approx(wanted, rel=0.08)
    assert replay.nodes[0].utilisation(replay.seconds) == pytest.approx(load, rel=0.03)


def test_several_servers_make_wait_as_erlang_says() -> None:
    servers, load = 3, 0.7
    service = servers * load * SERVICE_SECONDS
    offered = servers * load
    series = sum(offered**n / math.factorial(n) for n in range(servers))
    last = offered**servers / math.factorial(servers) / (1 - load)
    wanted = last / (series + last) * service / (servers * (1 - load))
    fleet = Fleet(nodes=1, slots=servers, waiting=10**9)
    day = Day(0, JOBS, hours=EVENLY)
    replay = simulate(day, fleet, times(search=exponential(service)), seed=2)
    assert mean_wait(replay) == pytest.approx(wanted, rel=0.08)


def test_the_lock_bounds_what_any_number_of_processes_stores() -> None:
    """A hundred processes with a lock that takes as long as all of the day: one after the other,
    and while it is waited for they hold their pictures."""
    pictures, held = 5_000, 20.0
    day = Day(pictures, 0, batch=1, hours=EVENLY)
    fleet = Fleet(processes=100)
    replay = simulate(day, fleet, times(describe=(1.0,), commit=(held,)), seed=3)
    stored = len(replay.processes.waits)
    assert stored == pytest.approx(pictures, rel=0.05)
    assert replay.lock.busy_seconds == pytest.approx(stored * held)
    assert replay.seconds == pytest.approx(stored * held, rel=0.01)
    assert replay.lock.utilisation(replay.seconds) > 0.99
    assert replay.processes.utilisation(replay.seconds) > 0.8


def test_work_that_fits_leaves_no_queue_and_a_burst_waits_for_its_turn() -> None:
    calm = simulate(Day(1_000, 0, batch=1, hours=EVENLY), Fleet(processes=4), times(describe=(2,)))
    assert calm.processes.percentiles()[1] == 0.0
    burst = simulate(Day(1_000, 0, batch=200, hours=EVENLY), Fleet(), times(describe=(2,)))
    assert max(burst.processes.queues.values()) > 100
    assert burst.processes.percentiles()[0] > 60
    assert len(burst.processes.waits) * 2.0 == pytest.approx(burst.processes.busy_seconds)


def test_a_node_that_is_full_refuses_and_the_other_one_is_asked_first() -> None:
    day = Day(0, 2_000, hours=(1.0,))
    fleet = Fleet(nodes=2, slots=1, waiting=5)
    replay = simulate(day, fleet, times(search=(60.0,)))
    assert sum(node.refused for node in replay.nodes) > 1_500
    for node in replay.nodes:
        assert max(node.queues.values()) == 5
        assert len(node.waits) == pytest.approx(61, abs=8)  # what an hour and the line hold


def test_more_come_in_the_hours_that_have_more() -> None:
    replay = simulate(Day(0, 20_000, hours=(1, 3)), Fleet(nodes=1), times(search=(0.001,)))
    first = sum(arrived < HOUR_SECONDS for arrived in replay.nodes[0].arrivals)
    assert first == pytest.approx(5_000, rel=0.06)
    assert len(replay.nodes[0].arrivals) == pytest.approx(20_000, rel=0.03)


def test_the_table_names_each_station_and_hour() -> None:
    replay = simulate(Day(500, 500), Fleet(), times(describe=(1.0,), search=(0.01,)))
    lines = list(table(replay))
    for name in ("model processes", "writers' lock", "node 1", "node 2"):
        assert any(line.startswith(name) for line in lines)
    assert sum(line[:4].strip().isdigit() for line in lines) == 24


def test_who_waits_on_when_nobody_comes_is_counted_in_those_hours() -> None:
    day = Day(400, 0, batch=100, hours=(1.0,))
    replay = simulate(day, Fleet(processes=1), times(describe=(60.0,)))
    assert replay.seconds > 3 * 3600
    queues = replay.processes.queues
    assert queues[0] > queues[1] > queues[2] > 50, "some 60 are described in an hour"


def test_the_same_seed_gives_the_same_day() -> None:
    day, steps = Day(500, 500), times(describe=exponential(1.0), search=exponential(0.01))
    once, again = (simulate(day, Fleet(), steps, seed=7) for _ in range(2))
    assert once.processes.waits == again.processes.waits
    assert once.nodes[0].waits != simulate(day, Fleet(), steps, seed=8).nodes[0].waits
