"""Pictures that move become videos where that is asked for, also those that were indexed as
pictures; each is indexed once, and none is looked through again and again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

from segsearch.cli.app import app
from segsearch.core.types import State
from segsearch.ingest import scan
from segsearch.library import SegSearch
from segsearch.media.ffmpeg import look, moves
from tests.support.clips import Take, animation
from tests.support.shelf import Shelf, touch
from tests.support.small_models import Shape, open_small_service, paint

RED = Shape("red", (10, 10, 50, 40))
SUFFIXES = [".gif", ".webp", ".avif"]
PARTS = ["#t=0,1.6", "#t=1.6,2.8", "#t=2.8,4"]


def shelf(service: SegSearch, folder: Path) -> Shelf:
    return Shelf(service, folder)


def looked_through(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    seen: list[str] = []

    def counting(path: Path, *given: object, **more: object) -> object:
        seen.append(path.name)
        return look(path, *given, **more)  # type: ignore[arg-type]  # as they are

    monkeypatch.setattr(scan, "look", counting)
    return seen


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_the_first_bytes_say_whether_a_picture_moves(tmp_path: Path, suffix: str) -> None:
    moving = animation(tmp_path / f"a{suffix}").read_bytes()
    still = paint(tmp_path / f"b{suffix}", [RED]).read_bytes()
    assert moves(moving)
    assert not moves(still)
    assert moves(moving[:1000])


def test_a_gif_with_colours_of_its_own_for_each_picture_moves(tmp_path: Path) -> None:
    frames = [Image.effect_noise((40, 30), 60 + n).convert("P") for n in range(2)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:], optimize=False)
    assert moves((tmp_path / "a.gif").read_bytes())
    assert not moves(b"GIF89a" + bytes(100))


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_switched_on_later_a_picture_becomes_a_video_once(
    tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, library = tmp_path / "in", tmp_path / "library"
    folder.mkdir()
    animation(folder / f"a{suffix}")
    paint(folder / f"still{suffix}", [RED])
    names = [f"a{suffix}", f"still{suffix}"]
    with open_small_service(library) as service:
        service.index([folder])
        service.tag(paths=[folder / names[0]], add=["cat"])
        assert shelf(service, folder).paths() == dict.fromkeys(names, State.DONE)
    seen = looked_through(monkeypatch)
    shots = [f"a{suffix}{part}" for part in PARTS]
    with open_small_service(library, animated=True) as service:
        report = service.index([folder])
        assert (report.files, report.indexed, report.unchanged, report.shots) == (4, 3, 1, 3)
        known = dict.fromkeys([*shots, names[1]], State.DONE)
        assert shelf(service, folder).paths() == known
        tagged = [one for one in service.catalog.images(limit=9) if one.tags]
        assert [Path(one.paths[0]).name for one in tagged] == shots[:1]
        report = service.index([folder])
        assert (report.files, report.indexed, report.unchanged) == (4, 0, 4)
        assert seen == names[:1], "what does not move is not looked through"
        assert service.maintenance.verify() == []
    with open_small_service(library) as service:
        report = service.index([folder])
        assert (report.indexed, report.unchanged) == (0, 4)
        assert shelf(service, folder).paths() == known, "a video stays one"


def test_a_video_that_has_changed_is_looked_through_whatever_is_asked_now(tmp_path: Path) -> None:
    folder, library = tmp_path / "in", tmp_path / "library"
    folder.mkdir()
    gif = animation(folder / "a.gif")
    with open_small_service(library, animated=True) as service:
        service.index([folder])
    with open_small_service(library) as service:
        touch(animation(gif, [Take("blue", 50)]))
        service.index([folder])
        assert shelf(service, folder).paths() == {"a.gif#t=0,2": State.DONE}
        touch(touched := paint(gif, [RED]))
        assert touched == gif
        service.index([folder])
        assert shelf(service, folder).paths() == {"a.gif": State.DONE}
        assert service.catalog.videos() == []
        assert service.maintenance.verify() == []


def test_the_command_has_an_option_for_it(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    animation(folder / "a.gif")
    command = ["--library", str(tmp_path / "library"), "index", str(folder), "--animated"]
    told = CliRunner().invoke(app, [*command, "--json"])
    assert told.exit_code == 0, told.output
    assert json.loads(told.stdout)["shots"] == 3
