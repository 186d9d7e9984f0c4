"""Errors: each kind says what it means at every border."""

from __future__ import annotations

from segsearch.core import errors
from segsearch.core.errors import SegSearchError


def drawn(kind: type[SegSearchError], depth: int = 0) -> str:
    """A class and all below it, indented by their depth."""
    below = (drawn(child, depth + 1) for child in kind.__subclasses__())
    return "\n".join(["  " * depth + kind.__name__, *below])


def test_every_error_has_an_exit_code_a_status_and_a_meaning() -> None:
    for kind in errors.kinds():
        assert 0 < kind.exit_code < 126, kind
        assert 400 <= kind.status < 600, kind
        assert "\n" not in (kind.__doc__ or "\n"), kind


def test_only_a_picture_that_is_refused_shares_its_parents_exit_code() -> None:
    sharing = [kind.__name__ for kind in errors.kinds() if "exit_code" not in vars(kind)]
    assert sharing == ["PictureTooLargeError", "FileGoneError"]
    codes = [kind.exit_code for kind in errors.kinds() if "exit_code" in vars(kind)]
    assert len(codes) == len(set(codes))


def test_the_modules_own_drawing_is_the_tree() -> None:
    assert f"\n\n{drawn(SegSearchError)}\n\n" in (errors.__doc__ or "")
