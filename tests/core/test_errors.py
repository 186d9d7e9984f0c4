"""Errors: each kind says what it means at every border."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from segsearch.cli.app import exit_code
from segsearch.core import errors


def tree(kind: type[errors.SegSearchError]) -> Iterator[type[errors.SegSearchError]]:
    yield kind
    for child in kind.__subclasses__():
        yield from tree(child)


KINDS = sorted(set(tree(errors.SegSearchError)), key=lambda kind: kind.__name__)


@pytest.mark.parametrize("kind", KINDS)
def test_every_error_has_an_exit_code_and_a_status(kind: type[errors.SegSearchError]) -> None:
    assert 0 < errors.EXIT_CODES[kind] < 126
    assert 400 <= errors.HTTP_STATUS[kind] < 600
    assert exit_code(kind("why")) == errors.EXIT_CODES[kind]


@pytest.mark.parametrize("kind", KINDS)
def test_the_modules_own_list_names_every_error(kind: type[errors.SegSearchError]) -> None:
    assert kind.__name__ in (errors.__doc__ or "")
