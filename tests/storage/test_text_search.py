"""Pictures are found by the words that stand in them, and answer with the region of the lines."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from itertools import product

import numpy as np
import pytest

from segsearch.core.filters import Filters
from segsearch.core.text import folded_text
from segsearch.core.text_query import TextQuery, TextRanking, words_of
from segsearch.core.types import FileStamp, Recipe
from segsearch.storage.catalog.backend import Place
from segsearch.storage.catalog.captions import weight_of
from segsearch.storage.catalog.sql_catalog import Catalog
from segsearch.storage.index.allowed import Allowed
from tests.support.described import DIMENSION, RECIPE, describe
from tests.support.written import Placed, write

REGIONS = 3  # of each picture: those of picture n begin at 3 n - 2


@pytest.fixture
def catalog(place: Place) -> Iterator[Catalog]:
    made = Catalog(place)
    made.register_recipe(RECIPE)
    yield made
    made.close()


SIGNS: tuple[list[str], ...] = (
    ["Fire exit"],
    ["We are here 24", "hours", "open all year"],
    ["Stair to the EXIT, please, and then"],
    ["CAFÉ", "Hauptstraße 5"],
    ["staircase"],
    [],
)
SCRIPTS = (
    ["非常", "出口"],
    ["エレベーター出口はこちら"],
    ["محمد"],
    ["ทางออกอยู่"],
    ["हिन्दी"],
    ["출구"],
    ["שלום"],
    ["ВЫХОД"],
)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Catalog]]:
    """Catalogs whose pictures hold `SIGNS`, and `SCRIPTS`."""
    made: dict[str, Catalog] = {}
    for name, texts in {"signs": SIGNS, "scripts": SCRIPTS}.items():
        made[name] = Catalog(tmp_path_factory.mktemp(name) / "catalog.sqlite")
        made[name].register_recipe(RECIPE)
        fill(made[name], *texts)
    yield made
    for catalog in made.values():
        catalog.close()


def fill(catalog: Catalog, *texts: Sequence[str | Placed]) -> None:
    """A picture for each text; a line without a region of its own belongs to the first."""
    lines: dict[int, Sequence[Placed]] = {}
    for number, text in enumerate(texts, start=1):
        catalog.record_file(f"/{number}.jpg", FileStamp(1, 1), f"sha-{number}", 1)
        claim = catalog.claim(1, "me", 60)
        assert claim is not None
        assert catalog.commit(claim, describe(number, REGIONS))
        lines[claim.image_id] = [one if isinstance(one, tuple) else (one, 0) for one in text]
    write(catalog, lines)


def found(catalog: Catalog, *words: str, k: int = 99, **how: object) -> list[int]:
    """The pictures that answer, in order."""
    ids = catalog.search_text(TextQuery(words, **how), k).ids  # type: ignore[arg-type]  # what a test says
    return [(number + REGIONS - 1) // REGIONS for number in ids]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("exit", [1, 3]),
        ("EXIT", [1, 3]),
        ("xit", [1, 3]),
        ("fire ex*", [1, 3]),
        ('"fire ex*', [1]),
        ('"24 hours"', [2]),
        ('"hours 24"', []),
        ('"hours open"', [2]),
        ("24", [2]),
        ("2", []),
        ("stair*", [5, 3]),
        ("tair", [5, 3]),
        ('"stair"', [3]),
        ("cafe", [4]),
        ("Café", [4]),
        ("ｃａｆé", [4]),
        ("strasse", [4]),
        ("“fire exit”", [1]),
        ("exit!", [1, 3]),
    ],
)
def test_words_phrases_beginnings_and_parts(
    written: dict[str, Catalog], words: str, expected: list[int]
) -> None:
    assert found(written["signs"], words) == expected


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("出口", [1, 2]),
        ("口", [1, 2]),
        ("口出", []),
        ("非常出口", [1]),
        ("エレベーター", [2]),
        ("ｴﾚﾍﾞｰﾀｰ", [2]),
        ("ベー", [2]),
        ("محمد", [3]),
        ("مُحَمَّد", [3]),
        ("محم", [3]),
        ("ทางออก", [4]),
        ("ออก", [4]),
        ("ที่", []),
        ("हिन्दी", [5]),
        ("हिन्द", [5]),
        ("출구", [6]),
        ("출구*", [6]),
        ("שלום", [7]),
        ("שָׁלוֹם", [7]),
        ("выход", [8]),
    ],
)
def test_other_scripts(written: dict[str, Catalog], words: str, expected: list[int]) -> None:
    assert found(written["scripts"], words) == expected


def test_a_whole_word_counts_more_than_a_part(catalog: Catalog) -> None:
    fill(catalog, ["existing"], ["is an exit"], ["exits"])
    ranking = catalog.search_text(TextQuery(("exit",)), 9)
    assert ranking.ids == [4, 7]
    assert ranking.scores == pytest.approx([1.0, 0.5])
    assert found(catalog, "exit", whole=True) == [2]


def test_rare_words_weigh_more_and_too_little_is_no_answer(catalog: Catalog) -> None:
    fill(catalog, *(["open the door"] for _ in range(9)), ["door of zanzibar"])
    ranking = catalog.search_text(TextQuery(("door zanzibar",)), 99)
    assert ranking.ids == [28]
    assert ranking.scores == [1.0]  # `door` stands in each: it tells nothing


def test_of_equal_texts_those_in_order_come_first_then_the_shorter(catalog: Catalog) -> None:
    fill(catalog, ["road to the old station"], ["station, road and more"], ["Station Road, Oxford"])
    assert found(catalog, "station road", whole=True) == [3, 2, 1]
    assert found(catalog, "station road the", whole=True) == [1]
    assert found(catalog, "station roads", whole=True) == []


def test_the_region_of_the_lines_answers_and_says_which_they_are(catalog: Catalog) -> None:
    fill(catalog, [("no entry", 1), ("this way", 0), ("exit", 2)], [("exit", 0), ("exit", 2)])
    ranking = catalog.search_text(TextQuery(("exit",)), 9)
    # Both regions of the second picture hold the word, each in its own line.
    assert sorted(ranking.ids) == [3, 4, 6]
    texts = {line.id: line.line.text for image in (1, 2) for line in catalog.lines_of(image)}
    assert {texts[line] for lines in ranking.lines.values() for line in lines} == {"exit"}
    assert [len(ranking.lines[region]) for region in ranking.ids] == [1, 1, 1]


def test_the_region_that_holds_most_of_the_words_answers(catalog: Catalog) -> None:
    fill(catalog, [("way", 0), ("emergency", 1), ("exit way", 1), ("out", 2)], ["other"], ["more"])
    ranking = catalog.search_text(TextQuery(("emergency exit",)), 9)
    assert ranking.ids == [2]
    texts = {line.id: line.line.text for line in catalog.lines_of(1)}
    assert [texts[line] for line in ranking.lines[2]] == ["emergency", "exit way"]
    over = catalog.search_text(TextQuery(('"way emergency"',)), 9)
    assert over.ids == [1, 2]  # the words stretch over the lines of both


def test_what_was_removed_and_what_belongs_to_none_is_found_no_more(catalog: Catalog) -> None:
    fill(catalog, [("exit", 1), ("exit too", 2)], [("exit", None)])
    catalog.remove_segments([2])
    assert catalog.search_text(TextQuery(("exit",)), 9).ids == [3]
    catalog.remove_images([1])
    assert catalog.search_text(TextQuery(("exit",)), 9).ids == []


PAGE: list[Placed] = [("fire exit", 0, 2), ("next to the red kite", 1, 2), ("red door", 1)]


@pytest.mark.parametrize(
    ("words", "region", "lines"),
    [
        ("exit", 1, (1,)),  # the smallest region
        ("fire kite", 3, (1, 2)),  # spread over an element's lines
        ("red door", 2, (2, 3)),
        ("fire door", 1, (1,)),  # over no element's: any of both, as much as the other
    ],
)
def test_an_element_answers_for_words_that_are_spread_over_its_lines(
    catalog: Catalog, words: str, region: int, lines: tuple[int, ...]
) -> None:
    fill(catalog, PAGE)
    ranking = catalog.search_text(TextQuery((words,)), 9)
    assert ranking.ids[0] == region
    assert ranking.lines[region] == lines
    assert len(ranking.ids) == (2 if words == "fire door" else 1)


def test_an_element_answers_where_the_smaller_regions_may_not(catalog: Catalog) -> None:
    fill(catalog, PAGE)
    allowed = np.array([3], np.int64)
    assert catalog.search_text(TextQuery(("exit",)), 9, allowed=Allowed.of_ids(allowed)).ids == [3]
    catalog.remove_segments([1])
    assert catalog.search_text(TextQuery(("exit",)), 9).ids == [3]
    assert catalog.lines_of(1)[0].regions == (3,)


def test_the_lines_of_an_element_are_its_own_and_those_of_smaller_regions(
    catalog: Catalog,
) -> None:
    fill(catalog, [*PAGE, ("below", 2, 2)])
    found = catalog.lines_by_segment([1, 3])
    assert {number: [one.id for one in some] for number, some in found.items()} == {
        1: [1],
        3: [1, 2, 4],
    }
    with_text = Filters(has_text=True)
    assert catalog.select_segments(1, with_text).tolist() == [1, 2, 3]
    read = catalog.text_of(1)
    assert read.text_of(catalog.segment(3)) == "fire exit\nnext to the red kite\nbelow"
    catalog.remove_segments([3])
    assert catalog.lines_by_segment([1, 3]).keys() == {1}
    assert [one.regions for one in catalog.lines_of(1)] == [(1,), (2,), (2,), ()]


def test_unwanted_words_keep_pictures_out(catalog: Catalog) -> None:
    fill(catalog, ["exit here"], ["no exit"], ["exit closed for good"])
    assert found(catalog, "exit") == [1, 2, 3]
    assert found(catalog, "exit", without=("no",)) == [1, 3]
    assert found(catalog, "exit", without=("no", '"for good"')) == [1]
    assert found(catalog, "exit", without=("...", "")) == [1, 2, 3]
    assert found(catalog, "exit", without=("closed here",), whole=True) == [1, 2, 3]
    assert catalog.segments_with_text(["no", "closed"]).tolist() == [4, 5, 6, 7, 8, 9]
    assert catalog.segments_with_text([""]).tolist() == []


def test_of_what_is_allowed_the_best_answers(
    catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(catalog, *([("a kite", n % 3), ("red kite", (n + 1) % 3)] for n in range(9)))
    for few in (5_000, 0):
        monkeypatch.setattr("segsearch.storage.catalog.text_search.FEW_ALLOWED", few)
        monkeypatch.setattr("segsearch.storage.catalog.text_search.PAGE_PICTURES", 2)
        allowed = np.array([1, 2, 3, 5, 8, 25, 27], np.int64)
        query = TextQuery(("red kite",))
        every = catalog.search_text(query, 99, allowed=Allowed.of_ids(allowed))
        assert every.ids == [2, 5, 25]
        for k in range(6):
            some = catalog.search_text(query, k, allowed=Allowed.of_ids(allowed))
            assert (some.ids, some.scores) == (every.ids[:k], every.scores[:k])
            assert some.lines.keys() == {*some.ids}
        assert catalog.search_text(query, 9, allowed=Allowed.of_ids(allowed[:0])) == TextRanking()
    assert catalog.search_text(query, 9, image_ids=[3, 5]).ids == [7, 15]


def test_another_generation_has_words_of_its_own(catalog: Catalog) -> None:
    fill(catalog, ["exit"])
    other = catalog.register_recipe(Recipe("other", "s@2", "e@1", DIMENSION, {}, {}, {}))
    catalog.queue_all(other)
    claim = catalog.claim(other, "me", 60)
    assert claim is not None
    assert catalog.commit(claim, describe(1, REGIONS))
    assert catalog.search_text(TextQuery(("exit",)), 9).ids == [1]
    assert catalog.switch_recipe(other)
    assert catalog.search_text(TextQuery(("exit",)), 9).ids == []


HOSTILE = (
    "", " ", '"', '""', '"""', '"a" "', "*", "**", "exit*", "* exit", "exit AND", "NOT exit",
    "exit OR door", "NEAR(exit door)", "text_words:exit", "folded : exit", "-exit", "^exit",
    "exit'; DROP TABLE text_line; --", "(exit", "exit)", "{a b}: exit", "exit + door", "\\", "\0",
    "a\0b", "\ud800", "exit\udfff", "\u200b", "\ufeff", "’", "%", "_", "?", "[", "🙂",
    "e" * 100_000,
    "exit " * 5_000, " ".join(map(str, range(2_000))), '"' * 999, "\N{COMBINING ACUTE ACCENT}" * 50,
    "ﷺ" * 300, "*" * 5_000,
)  # fmt: skip


@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("number", range(len(HOSTILE)))
def test_whatever_is_asked_is_plain_text(
    written: dict[str, Catalog], number: int, whole: bool
) -> None:
    text = HOSTILE[number]
    for words, without in product(("door", text), ("other", text)):
        written["signs"].search_text(TextQuery((words, text), (without,), whole), 9)
    assert found(written["signs"], "exit") == [1, 3]


def test_the_operators_of_the_index_are_words(catalog: Catalog) -> None:
    fill(catalog, ["do not enter or else"], ["enter"])
    assert found(catalog, "enter NOT else", whole=True) == [1]
    assert found(catalog, "enter OR absent", whole=True) == []


WORDS = ("red", "fire", "exit", "exits", "no", "door", "doorway", "24")


def naive(texts: dict[int, list[str]], query: list[str], read: int) -> dict[int, float]:
    """Shares of the words' weight, word by word."""
    pieces = {number: " ".join(lines).split() for number, lines in texts.items()}

    def share(number: int, word: str) -> float:
        if word in pieces[number]:
            return 1.0
        return 0.5 if len(word) > 2 and any(word in one for one in pieces[number]) else 0.0

    counts = {word: sum(share(n, word) > 0 or word in pieces[n] for n in pieces) for word in query}
    rare = [word for word in counts if counts[word] <= 0.8 * read] or list(counts)
    weights = {word: weight_of(counts[word], read) for word in rare}
    shares = {
        number: sum(weights[word] * share(number, word) for word in rare) / sum(weights.values())
        for number in pieces
    }
    return {number: value for number, value in shares.items() if value >= 0.3}


def test_shares_are_those_of_a_naive_reading(catalog: Catalog) -> None:
    rng = random.Random(7)
    texts = {
        number: [
            " ".join(rng.choices(WORDS, k=rng.randrange(1, 4))) for _ in range(rng.randrange(3))
        ]
        for number in range(1, 25)
    }
    fill(catalog, *texts.values())
    for _ in range(60):
        query = rng.sample(WORDS, rng.randrange(1, 4))
        expected = naive(texts, query, len(texts))
        ranking = catalog.search_text(TextQuery((" ".join(query),)), 999)
        told: dict[int, float] = {}
        for region, score in zip(ranking.ids, ranking.scores, strict=True):
            told[(region + REGIONS - 1) // REGIONS] = score
        assert told == pytest.approx(expected)
        order = sorted(
            expected,
            key=lambda n: (
                -round(expected[n], 9),
                len(words_of(folded_text(" ".join(texts[n])))),
                n,
            ),
        )
        assert list(told) == order


def test_of_equal_pictures_those_of_fewer_words_come_first(catalog: Catalog) -> None:
    counts = [300, 127, 1, 20_000, 128, 16_383, 2, 16_384]
    fill(catalog, *([" ".join(["exit", *["a"] * (count - 1)])] for count in counts))
    expected = [counts.index(count) + 1 for count in sorted(counts)]
    assert found(catalog, "exit") == expected


def test_facets_count_pictures_with_text(catalog: Catalog) -> None:
    fill(catalog, ["exit"], [], ["no exit", "here"])
    assert catalog.facets(1).with_text == 2
    other = catalog.register_recipe(Recipe("other", "s@2", "e@1", DIMENSION, {}, {}, {}))
    assert catalog.facets(other).with_text == 0
