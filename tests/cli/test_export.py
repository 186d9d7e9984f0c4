"""`segsearch export` writes what was chosen, in every format, with captions, whole or not."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import fsspec
import pyarrow.parquet as pq
import pytest
from pycocotools.coco import COCO
from typer.testing import CliRunner, Result

from segsearch.cli.app import app
from segsearch.core.answers import SearchAnswer
from segsearch.core.errors import InputError, NotFoundError, PathError, QueryError
from segsearch.core.query import Query
from segsearch.core.types import Hit, Origin
from segsearch.export.caption_pack import QUESTION, write_caption_pack
from segsearch.export.documents import HitDocument
from segsearch.export.parquet import ROWS_IN_GROUP, write_parquet
from segsearch.library import SegSearch
from segsearch.masks.rle import decode, from_coco
from segsearch.search.selection import RegionSelection
from tests.support.small_models import Shape, open_small_service, paint

ORIGIN = Origin("eye-1", "localhost:8001", "0" * 64)
BOTH = [Shape("red", (10, 10, 40, 40)), Shape("blue", (60, 20, 100, 70), "disc")]


@pytest.fixture
def service(tmp_path: Path) -> Iterator[SegSearch]:
    """Two regions in one picture, one in another; the first has two captions."""
    paint(tmp_path / "pictures" / "a" / "both.png", BOTH)
    paint(tmp_path / "pictures" / "b" / "red.png", [Shape("red", (50, 50, 90, 80))])
    with open_small_service(tmp_path / "library") as made:
        for folder in "ab":  # one after the other: side by side, either may get the first ids
            made.index([tmp_path / "pictures" / folder])
        first = next(iter(made.select())).segment.id
        made.catalog.add_caption(first, 'A "quoted" 🐕\nover two lines', ORIGIN)
        made.catalog.add_caption(first, "Another", Origin("eye-2", "h", "1" * 64))
        yield made


def export(service: SegSearch, *arguments: str | Path) -> Result:
    library = str(service.settings.library)
    return CliRunner().invoke(app, ["--library", library, "export", *map(str, arguments)])


def ids(hits: list[Hit]) -> list[int]:
    return [hit.segment.id for hit in hits]


def test_parquet_holds_what_json_lines_hold(service: SegSearch, tmp_path: Path) -> None:
    told = export(service, "--format", "parquet", "--into", tmp_path / "r.parquet")
    assert told.output.startswith("3 regions written")
    rows = pq.read_table(tmp_path / "r.parquet").to_pylist()
    hits = list(service.select())
    assert rows == [HitDocument.of(hit).model_dump() for hit in hits]
    assert [len(row["captions"]) for row in rows] == [2, 0, 0]
    assert [from_coco(row["mask"]) for row in rows] == [hit.segment.mask for hit in hits]
    export(service, "--format", "jsonl", "--into", tmp_path / "r.jsonl")
    lines = (tmp_path / "r.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == rows
    kinds = pq.read_schema(tmp_path / "r.parquet")
    assert (str(kinds.field("segment_id").type), str(kinds.field("score").type)) == (
        "int64",
        "double",
    )


def test_parquet_is_written_in_groups_and_may_be_empty(service: SegSearch, tmp_path: Path) -> None:
    hits = list(service.select()) * 500
    assert write_parquet(hits, tmp_path / "many.parquet") == 1500
    file = pq.ParquetFile(tmp_path / "many.parquet")
    sizes = [file.metadata.row_group(one).num_rows for one in range(file.num_row_groups)]
    assert sizes == [ROWS_IN_GROUP, 500]
    assert file.read(["segment_id"]).column(0).to_pylist() == ids(hits)
    assert write_parquet([], tmp_path / "none.parquet") == 0
    assert pq.read_table(tmp_path / "none.parquet").num_rows == 0


def test_coco_loads_with_captions_and_every_mask_comes_back(
    service: SegSearch, tmp_path: Path
) -> None:
    export(service, "--everything", "--into", tmp_path / "coco.json")
    loaded = COCO(str(tmp_path / "coco.json"))
    hits = list(service.select())
    assert sorted(loaded.anns) == sorted(ids(hits))
    for hit in hits:
        row = loaded.anns[hit.segment.id]
        assert (loaded.annToMask(row).astype(bool) == decode(hit.segment.mask)).all()
        assert [one["text"] for one in row["captions"]] == [one.text for one in hit.captions]
    assert len(loaded.anns[hits[0].segment.id]["captions"]) == 2


def test_coco_has_polygons_and_names_below_a_folder_when_asked(
    service: SegSearch, tmp_path: Path
) -> None:
    export(service, "--polygons", "--relative-to", tmp_path, "--into", tmp_path / "coco.json")
    document = json.loads((tmp_path / "coco.json").read_text())
    assert document["images"][0]["file_name"] == "pictures/a/both.png"
    assert isinstance(document["annotations"][0]["segmentation"][0], list)
    refused = export(service, "--format", "jsonl", "--polygons")
    assert isinstance(refused.exception, InputError)


def packed(target: Path) -> dict[str, bytes]:
    """Every file of a pack by name."""
    if target.is_dir():
        return {path.name: path.read_bytes() for path in target.iterdir()}
    found = {}
    with tarfile.open(target) as tar:
        for entry in tar:
            data = tar.extractfile(entry)
            assert data is not None
            found[entry.name] = data.read()
    return found


def lines_of(pack: dict[str, bytes]) -> list[dict[str, Any]]:
    return [json.loads(data) for name, data in sorted(pack.items()) if name.endswith(".json")]


def test_a_pack_is_the_same_as_a_folder_and_as_a_tar_file(
    service: SegSearch, tmp_path: Path
) -> None:
    for name in ("pack", "one.tar", "two.tar"):
        told = export(service, "--format", "caption-pack", "--into", tmp_path / "new" / name)
        assert told.exit_code == 0, told.output
    folder, tar = packed(tmp_path / "new" / "pack"), packed(tmp_path / "new" / "one.tar")
    listed = folder.pop("regions.jsonl").splitlines()
    assert folder == tar
    keys = [f"{number:06}" for number in ids(list(service.select()))]
    endings = ("context.jpg", "cutout.png", "marked.jpg", "json")
    assert list(tar) == [f"{key}.{ending}" for key in keys for ending in endings]
    assert (tmp_path / "new/one.tar").read_bytes() == (tmp_path / "new/two.tar").read_bytes()
    lines = lines_of(tar)
    assert [line["segment_id"] for line in lines] == ids(list(service.select()))
    assert list(map(json.loads, listed)) == lines
    assert len(json.loads(lines[0]["captions_json"])) == 2
    assert [line["caption"] for line in lines] == ["Another", "", ""]
    for line in lines:
        (message,) = line["messages"]
        text, *pictures = message["content"]
        assert (message["role"], text) == ("user", {"type": "text", "text": QUESTION})
        urls = [{"url": line[kind]} for kind in ("context", "marked")]
        assert pictures == [{"type": "image_url", "image_url": url} for url in urls]
        assert {line[kind] for kind in ("context", "cutout", "marked")} <= tar.keys()


READERS = """
import datasets, json, sys, webdataset
found = webdataset.WebDataset(sys.argv[1], shardshuffle=False).decode("pil")
data = datasets.load_dataset("webdataset", data_files=sys.argv[1], split="train")
print(json.dumps([
    [(one["__key__"], sorted(one), one["json"]["caption"], one["cutout.png"].size) for one in rows]
    for rows in (found, data)
]))
"""


def test_a_pack_is_read_by_webdataset_and_by_datasets(service: SegSearch, tmp_path: Path) -> None:
    """Also where no caption is among the first samples, and a picture is gone."""
    first, second, last = service.select()
    later = [replaced(second, number) for number in range(20)]
    target = tmp_path / "pack.tar"
    (tmp_path / "pictures" / "b" / "red.png").unlink()
    hits = [last, *later, replaced(first, 1_000_000)]
    written = write_caption_pack(hits, service.region_sources(), target)
    assert (written.regions, len(written.skipped)) == (21, 1)
    run = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", READERS, str(target)],
        capture_output=True, text=True, check=False,
        env=os.environ | {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "hub")},
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    for rows in json.loads(run.stdout.splitlines()[-1]):
        assert [row[0] for row in rows] == [f"{number:06}" for number in [*range(20), 1_000_000]]
        assert [row[2] for row in rows] == [""] * 20 + ["Another"]
        sizes = [[hit.segment.mask.box.width, hit.segment.mask.box.height] for hit in hits[1:]]
        assert [row[3] for row in rows] == sizes
        assert {"context.jpg", "cutout.png", "json", "marked.jpg"} <= set(rows[0][1])


def replaced(hit: Hit, number: int) -> Hit:
    """The hit as one of many."""
    return replace(hit, segment=replace(hit.segment, id=number))


def test_words_paths_and_everything_choose_what_is_written(
    service: SegSearch, tmp_path: Path
) -> None:
    def written(*wanted: str | Path) -> list[int]:
        told = export(service, *wanted, "--format", "jsonl", "--into", tmp_path / "out")
        assert told.exit_code == 0, told.output
        lines = (tmp_path / "out").read_text().splitlines()
        return [json.loads(line)["segment_id"] for line in lines]

    everything = ids(list(service.select()))
    assert written() == written("--everything") == everything
    assert written("--limit", "2") == everything[:2]
    below = [hit for hit in service.select() if "/b/" in hit.image.paths[0]]
    assert written("--under", tmp_path / "pictures" / "b") == ids(below)
    assert written("--under", tmp_path / "pictures") == everything
    blue = service.select(
        RegionSelection("blue", limit=1)
    )  # the command's own models know no colours
    assert ids(list(blue)) == ids(list(service.search_text("blue", limit=1).hits))


def test_words_that_find_nothing_say_why(
    service: SegSearch, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = SearchAnswer((), 0.05, "Nothing in the library matches.")
    monkeypatch.setattr(service, "search", lambda _query: answer)
    said: list[str] = []
    assert list(service.select(RegionSelection("a walrus"), said.append)) == []
    assert said == ["Nothing in the library matches."]


def test_the_least_relevance_is_asked_for(
    service: SegSearch, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Query] = []

    def search(query: Query) -> SearchAnswer:
        asked.append(query)
        return SearchAnswer(())

    monkeypatch.setattr(service, "search", search)
    service.select(RegionSelection("a walrus", min_relevance=0.7))
    assert [query.min_relevance for query in asked] == [0.7]


def test_a_pack_takes_the_place_of_the_one_before_and_of_nothing_else(
    service: SegSearch, tmp_path: Path
) -> None:
    folder = tmp_path / "pack"
    write_caption_pack(service.select(), service.region_sources(), folder)
    (folder / "notes.txt").write_text("mine")
    before = set(packed(folder))
    (first,) = service.select(RegionSelection(limit=1))

    def breaking() -> Iterator[Hit]:
        yield first
        raise NotFoundError("gone")

    with pytest.raises(NotFoundError):
        write_caption_pack(breaking(), service.region_sources(), folder)
    left = set(packed(folder))
    assert left == {name for name in before if name.startswith(f"{first.segment.id:06}.")} | {
        "notes.txt"
    }
    write_caption_pack([first], service.region_sources(), folder)
    assert set(packed(folder)) == left | {"regions.jsonl"}
    (folder / "regions.jsonl").write_text('another\n{"segment_id": "../notes"}\n[]\n')
    write_caption_pack([first], service.region_sources(), folder)
    assert set(packed(folder)) == left | {"regions.jsonl"}


def test_a_picture_that_is_gone_is_skipped_and_said(service: SegSearch, tmp_path: Path) -> None:
    (tmp_path / "pictures" / "a" / "both.png").unlink()
    target = tmp_path / "pack.tar"
    written = write_caption_pack(service.select(), service.region_sources(), target)
    assert written.regions == 1
    assert len(written.skipped) == 2
    assert all("is gone or was changed" in reason for reason in written.skipped.values())
    assert len(lines_of(packed(target))) == 1
    said = {int(one): why for one, why in json.loads(packed(target)["__skipped__"]).items()}
    assert said == written.skipped
    told = export(service, "--format", "caption-pack", "--into", tmp_path / "pack")
    assert "1 regions written" in told.output
    assert "2 regions skipped" in told.output


def test_what_breaks_off_leaves_no_file_of_that_name(service: SegSearch, tmp_path: Path) -> None:
    def breaking() -> Iterator[Hit]:
        yield from service.select(RegionSelection(limit=1))
        raise NotFoundError("gone")

    folder = tmp_path / "new"
    folder.mkdir()
    for name in (".", "pack.tar"):
        with pytest.raises(NotFoundError):
            write_caption_pack(breaking(), service.region_sources(), folder / name)
    (folder / "regions.parquet").write_bytes(b"the old one")
    with pytest.raises(NotFoundError):
        write_parquet(breaking(), folder / "regions.parquet")
    kinds = {path.suffix for path in folder.iterdir()}
    assert kinds == {".png", ".jpg", ".json", ".parquet"}
    assert (folder / "regions.parquet").read_bytes() == b"the old one"


def test_what_goes_to_an_open_file_is_nothing_but_regions(
    service: SegSearch, tmp_path: Path
) -> None:
    with (tmp_path / "redirected").open("w+") as opened:
        link = tmp_path / "stdout"
        link.symlink_to(f"/proc/self/fd/{opened.fileno()}")
        told = export(service, "--format", "jsonl", "--into", link)
        rows = [json.loads(line) for line in opened]
    assert (told.exit_code, told.stdout, len(rows)) == (0, "", 3)
    assert told.stderr == f"3 regions written to {link}\n"


@pytest.mark.parametrize(
    ("wanted", "kind"),
    [
        (["red", "--everything"], QueryError),
        (["red", "--under", "x"], QueryError),
        (["--limit", "0"], QueryError),
        (["--under", "/nowhere"], NotFoundError),
        (["--into", "/nowhere/at/all"], PathError),
        (["--relative-to", "pictures/a", "--into", "out"], PathError),
        (["--into", "library/catalog.sqlite"], PathError),
        (["--into", "pictures/b/red.png"], PathError),
        (["--format", "caption-pack", "--into", "pictures"], PathError),
        (["--format", "parquet", "--into", "/nowhere/at/all"], PathError),
    ],
)
def test_what_cannot_be_written_is_said(
    service: SegSearch,
    wanted: list[str],
    kind: type[Exception],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)  # where the usual file would be written
    before = set(tmp_path.iterdir())
    assert isinstance(export(service, *wanted).exception, kind)
    assert set(tmp_path.iterdir()) == before


@pytest.mark.parametrize("kind", ["coco", "jsonl", "parquet"])
def test_a_folder_is_no_file_to_write_to(service: SegSearch, kind: str) -> None:
    refused = export(service, "--format", kind, "--into", ".")
    assert isinstance(refused.exception, PathError)
    assert "'.' is a folder" in str(refused.exception)


def test_paths_may_be_addresses_in_a_store(tmp_path: Path) -> None:
    memory = fsspec.filesystem("memory")
    made = paint(tmp_path / "red.png", [Shape("red", (10, 10, 40, 40))])
    memory.pipe("/under/a/red.png", made.read_bytes())
    with open_small_service(tmp_path / "library") as service:
        service.index(["memory://under"])
        (name,) = service.catalog.image(1).paths
        told = export(service, "--under", name, "--into", tmp_path / "a.json")
        assert told.output.startswith("1 regions written")
    memory.rm("/under", recursive=True)
