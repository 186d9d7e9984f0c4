"""`segsearch video` tells of a video, and writes parts of it."""

from __future__ import annotations

from pathlib import Path

import av
import pytest
from typer.testing import CliRunner, Result

from segsearch.cli.app import app
from segsearch.core.errors import PathError, QueryError
from tests.support.clips import write
from tests.support.small_models import open_small_service


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("films")
    write(folder / "a.mp4")
    with open_small_service(folder / "library") as service:
        service.index([folder / "a.mp4"])
    return folder / "library"


def video(library: Path, *arguments: str | Path) -> Result:
    film = library.parent / "a.mp4"
    return CliRunner().invoke(
        app, ["--library", str(library), "video", str(film), *map(str, arguments)]
    )


def test_a_part_is_written_as_a_clip(library: Path, tmp_path: Path) -> None:
    out = tmp_path / "new" / "moment.mp4"
    told = video(library, "--clip", "1,2.5", "--out", out, "--side", "64")
    assert told.exit_code == 0, told.output
    assert told.output == f"1.5 seconds written to {out}\n"
    with av.open(str(out)) as clip:
        stream = clip.streams.video[0]
        assert (stream.width, stream.height, stream.frames) == (64, 38, 38)
    assert [path.name for path in out.parent.iterdir()] == ["moment.mp4"]


@pytest.mark.parametrize(
    ("given", "kind", "says"),
    [
        (["--clip", "2,1", "--out", "NEW"], QueryError, "has no length"),
        (["--clip", "1,9", "--out", "NEW"], QueryError, "there is no second 9.00"),
        (["--clip", "one", "--out", "NEW"], QueryError, "FROM,TO"),
        (["--clip", "nan,2", "--out", "NEW"], QueryError, "FROM,TO"),
        (["--clip", "1,2"], QueryError, "--out FILE.mp4"),
        (["--out", "NEW"], QueryError, "--clip FROM,TO"),
        (["--clip", "1,2", "--out", "FILM"], PathError, "holds pictures of the library"),
        (["--clip", "1,2", "--out", "FOLDER"], PathError, "write"),
    ],
    ids=["back", "past", "words", "nan", "nowhere", "no-part", "over-the-film", "folder"],
)
def test_what_cannot_be_written_gives_a_sentence(
    given: list[str], kind: type[QueryError], says: str, library: Path, tmp_path: Path
) -> None:
    film = library.parent / "a.mp4"
    before = film.read_bytes()
    places = {"NEW": tmp_path / "a.mp4", "FILM": film, "FOLDER": tmp_path}
    told = video(library, *(places.get(word, word) for word in given))
    assert isinstance(told.exception, kind), told.exception
    assert says in str(told.exception)
    assert film.read_bytes() == before
    assert not (tmp_path / "a.mp4").exists()
