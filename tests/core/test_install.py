"""An installation that cannot open libraries says which extra or system it lacks."""

from __future__ import annotations

import pytest

from segsearch.core.errors import InputError
from segsearch.core.install import check_system, needs_extra


def test_windows_is_refused_in_one_sentence() -> None:
    with pytest.raises(InputError, match=r"^Windows is not supported: [^.]+\.$"):
        check_system("win32")
    for platform in ("linux", "darwin"):
        check_system(platform)


def test_a_missing_package_names_the_extras_with_it() -> None:
    lacks_faiss = pytest.raises(InputError, match=r"package faiss is missing: .*'segsearch\[cpu\]'")
    with lacks_faiss, needs_extra():
        raise ModuleNotFoundError("No module named 'faiss.swig'", name="faiss.swig")


@pytest.mark.parametrize("name", ["segsearch.none", "segsearch_api.none", None])
def test_a_module_of_our_own_is_no_matter_of_extras(name: str | None) -> None:
    with pytest.raises(ModuleNotFoundError), needs_extra():
        raise ModuleNotFoundError("No module named 'none'", name=name)
