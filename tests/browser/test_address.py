"""The address is the text form of the query: the page's pure modules, run in a browser."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from tests.support.page_modules import call
from tests.support.page_server import served
from tests.support.small_models import SmallModels

pytestmark = pytest.mark.browser
ADDRESS, REQUEST, LAYOUT = "app/address.js", "app/request.js", "app/layout.js"


@pytest.fixture(scope="module")
def blank(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """A page of a server whose library is empty."""
    for url in served(tmp_path_factory.mktemp("blank") / "library", None, SmallModels()):
        page = browser.new_page()
        page.goto(f"{url}/docs")
        yield page
        page.close()


def parse(page: Page, address: str) -> dict[str, Any]:
    found: dict[str, Any] = call(page, ADDRESS, "({parse}, text) => parse(text)", address)
    return found


FULL = (
    "?q=red+umbrella+-beach&with=segment-12&with=picture-ab12cd*0.5&with=image-3*-0.5"
    "&with=cut-3_p120.80_n40.40_b10.10.200.180_c1&right=4-5&wrong=6"
    "&album=Summer+2024&album=M%C3%BCnchen&tag=holiday&notag=blurred&collection=best&camera=ACME"
    "&path=holiday%2F*&place=top+left&after=2024-07-01&before=2024-08-01&minarea=0.05&maxarea=0.5"
    "&minwidth=1000&near=43.7~7.25~2&within=0~0~0.5~1&only=1-2&lasso=0~0_1~0_0.5~1&cluster=3"
    "&by=region&prefer=part&view=map&shelf=albums&order=name&all=1&copies=1&image=9&segment=12&at=144"
)


def test_every_part_of_a_query_stands_in_the_address_and_is_read_back(blank: Page) -> None:
    found = parse(blank, FULL)
    assert found["odd"] == []
    query = found["query"]
    assert query["terms"][3] == {
        "kind": "cut", "id": "3", "weight": 1, "points": [[120, 80], [40, 40]], "labels": [1, 0],
        "box": [10, 10, 200, 180], "candidate": 1,
    }  # fmt: skip
    assert query["filters"]["map_area"] == [[0, 0], [1, 0], [0.5, 1]]
    assert (query["image"], query["segment"], query["at"]) == (9, 12, 144)
    again = call(blank, ADDRESS, "({format}, query) => format(query)", query)
    assert parse(blank, again) == found


# Answers of these relevances, on pages of twenty: the relevances of what is shown, how many stand
# above the line, and whether more is asked for after each page.
LINED = """({Results}, [relevances, query]) => {
  const results = new Results(query);
  const open = [];
  for (let at = 0; at < relevances.length; at += 20) {
    const page = relevances.slice(at, at + 20).map((relevance, i) => ({
      key: `r${at + i}`, image: at + i, regions: [{segment_id: at + i, relevance}]}));
    results.take(page, "more");
    open.push(results.open);
  }
  return [results.items.map(({regions: [{relevance}]}) => relevance), results.shown, open];
}"""


@pytest.mark.parametrize(
    ("relevances", "above", "is_open"),
    [
        ([0.9] * 30, 30, [True, True]),
        ([0.9, 0.1, 0.95] + [0.5] * 17, 19, [True]),  # one that may be chance hides no other
        ([0.9] * 10 + [0.1] * 19 + [0.95] + [0.1] * 20, 11, [True, True, False]),
        ([0.9] * 10 + [0.1] * 20 + [0.95] * 9, 10, [True, False]),  # twenty in a row: the end
        ([0.1] * 40, 0, [False, False]),
        ([None] * 20, 20, [True]),  # nobody can tell
    ],
)
def test_what_may_be_chance_comes_after_the_rest(
    blank: Page, relevances: list[float | None], above: int, is_open: list[bool]
) -> None:
    for all_of_it in (False, True):
        query = {**parse(blank, "?q=red")["query"], "all": all_of_it}
        given = [relevances, query]
        shown, count, found = call(blank, "app/results.js", LINED, given)
        assert count == (len(relevances) if all_of_it else above)
        assert found == [all_of_it or one for one in is_open]
        assert all(one is None or one >= 0.15 for one in shown[:above])
        assert sorted(shown, key=str) == sorted(relevances, key=str)


def test_a_scene_stands_in_the_address(blank: Page) -> None:
    address = "?thing=a+dog&thing=-person&thing=frisbee&where=a+dog~left+of~frisbee"
    found = parse(blank, address)
    assert found["query"]["things"][1] == {"name": "person", "absent": True}
    body = call(blank, REQUEST, "({sceneBody}, query) => sceneBody(query, 10)", found["query"])
    assert body == {
        "slots": [{"name": "a dog"}, {"name": "person", "absent": True}, {"name": "frisbee"}],
        "relations": [["a dog", "left of", "frisbee"]],
        "limit": 10,
    }


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("image=", "“image=”, expected the number of a picture"),
        ("segment=x", "“segment=x”, expected the number of a region"),
        ("with=segment-0", "“with=segment-0”, expected something to look like"),
        ("with=cut-3", "“with=cut-3”, expected something to look like"),
        ("with=image-3*0", "“with=image-3*0”, expected something to look like"),
        ("with=picture-xyz", "expected something to look like"),
        ("right=x", "expected the number of a region"),
        ("after=2024", "“after=2024”, expected a day"),
        ("minarea=5", "“minarea=5”, expected a share"),
        ("where=dog~beside~cat", "expected such as dog~left of~frisbee"),
        ("near=1~2", "expected 3 numbers"),
        ("lasso=1~1_0~0", "expected corners on the map"),
        ("by=colour", "“by=colour”, expected picture, region"),
        ("view=<script>", "“view=<script>”, expected grid, map, status"),
    ],
)
def test_what_cannot_be_read_is_told_and_asks_nothing(blank: Page, address: str, said: str) -> None:
    found = parse(blank, f"?{address}")
    (sentence,) = found["odd"]
    assert said in sentence
    assert found["query"] == call(blank, ADDRESS, "({empty}) => empty()")


@pytest.mark.parametrize(
    ("typed", "wanted", "unwanted"),
    [
        ("a dog", "a dog", []),
        ("a dog -leash", "a dog", ["leash"]),
        ('-beach red umbrella -"many people"', "red umbrella", ["beach", "many people"]),
        ("t-shirt", "t-shirt", []),
        ("well-known man", "well-known man", []),
        ("a - b", "a - b", []),
        ("-", "-", []),
    ],
)
def test_a_minus_says_what_is_not_wanted(
    blank: Page, typed: str, wanted: str, unwanted: list[str]
) -> None:
    found = call(blank, REQUEST, "({parted}, words) => parted(words)", typed)
    assert found == {"wanted": wanted, "unwanted": unwanted}


def test_a_query_becomes_the_body_of_a_search(blank: Page) -> None:
    query = parse(blank, "?q=a+dog+-leash&with=segment-12*0.5&right=4&tag=park&prefer=whole")[
        "query"
    ]
    body = call(blank, REQUEST, "({searchBody}, query) => searchBody(query, {limit: 40})", query)
    assert body == {
        "text": "a dog",
        "terms": [{"segment_id": 12, "weight": 0.5}, {"text": "leash", "weight": -0.5}],
        "like": [4],
        "filters": {"tags": ["park"]},
        "by_picture": True,
        "per_image": 10,
        "prefer": "whole",
        "limit": 40,
    }


def test_of_too_many_judgements_the_oldest_are_left_out(blank: Page) -> None:
    many = "-".join(str(number) for number in range(1, 41))
    query = parse(blank, f"?q=a+dog&right={many}&wrong=50")["query"]
    body = call(blank, REQUEST, "({searchBody}, query) => searchBody(query, {limit: 1})", query)
    assert body["like"] == list(range(10, 41))
    assert "unlike" not in body


@pytest.mark.parametrize("width", [374, 1248, 1888])
def test_rows_fill_the_width_and_keep_every_pictures_shape(blank: Page, width: int) -> None:
    ratios = [0.4 + (number * 37 % 100) / 40 for number in range(200)] + [5.0, 0.36, 5.0]
    laid = call(
        blank,
        LAYOUT,
        """({justify}, [ratios, width]) => {
          const laid = justify(ratios.map((ratio) => ({ratio})), {width, target: 220, gap: 6});
          return {...laid, rowOf: [...laid.rowOf]};
        }""",
        [ratios, width],
    )
    rows = laid["rows"]
    seen = [cell["index"] for row in rows for cell in row["cells"]]
    assert seen == list(range(len(ratios)))
    for row in rows[:-1]:
        last = row["cells"][-1]
        assert last["x"] + last["width"] == pytest.approx(width, abs=0.01)
        assert 60 < row["height"] < 440
    for row in rows:
        for cell in row["cells"]:
            shape = cell["width"] / cell["height"]
            assert shape == pytest.approx(ratios[cell["index"]], rel=0.05)
            assert laid["rowOf"][cell["index"]] == rows.index(row)
    tops = [row["y"] for row in rows]
    assert all(
        after == pytest.approx(row["y"] + row["height"] + 6)
        for row, after in zip(rows[:-1], tops[1:], strict=True)
    )
    assert laid["height"] == pytest.approx(rows[-1]["y"] + rows[-1]["height"])
