"""What phrases are looked for, and which lines hold them, whichever other lines are left out."""

from __future__ import annotations

import random

import pytest

from segsearch.core.text import LineText, folded_text
from segsearch.core.text_query import line_filter, phrases_in, shares, words_of

LINES = (
    ("no way out", True), ("Ausg\u00e4nge", True), ("EX", True), ("it", False), ("---", True),
    ("", True), ("the way", False), ("\u51fa", True), ("way", False),
)  # fmt: skip


@pytest.mark.parametrize(("text", "passes"), LINES)
def test_lines_that_may_hold_a_phrase_or_part_it_pass(text: str, passes: bool) -> None:
    phrases = phrases_in('"no ex" ausgang \u51fa\u53e3 st*')
    assert line_filter(phrases)(text) is passes


def test_lines_left_out_change_no_share() -> None:
    rng = random.Random(5)
    words = ["no", "exit", "exits", "way", "--", "\u51fa\u53e3", "Caf\u00e9", "cafe's"]
    for _ in range(400):
        texts = [" ".join(rng.choices(words, k=rng.randrange(4))) for _ in range(8)]
        lines = [LineText(7 * n, None, None, n, text) for n, text in enumerate(texts, start=1)]
        asked = " ".join(rng.choices(['"no exit"', '"exit way no"', "way", "caf*", "xit"], k=2))
        phrases = phrases_in(asked)
        passes = line_filter(phrases)
        some = [line for line in lines if passes(line.text)]
        assert shares(some, phrases) == shares(lines, phrases)
        runs = [(word, line.id) for line in lines for word in words_of(folded_text(line.text))]
        for number, phrase in enumerate(phrases):
            length = len(phrase.words)
            held = {
                owner
                for at in range(len(runs) - length + 1)
                if all(
                    word.startswith(said)
                    if phrase.is_prefix and place == length - 1
                    else word == said
                    for place, ((word, _), said) in enumerate(
                        zip(runs[at : at + length], phrase.words, strict=True)
                    )
                )
                for _, owner in runs[at : at + length]
            }
            got = {one for one, by in shares(some, phrases).items() if by.get(number) == 1.0}
            assert got == held
