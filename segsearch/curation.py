"""What users do with a library beside filling and searching it: tags, and files that vanished."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from segsearch.domain import Pruned
from segsearch.errors import NotFoundError, QueryError
from segsearch.ports import Catalog
from segsearch.sources.names import normal
from segsearch.sources.reader import Sources

MAX_TAG_CHARACTERS = 100


def check_tag(text: str) -> str:
    """A tag without surrounding space; QueryError when it is empty, overlong or unprintable."""
    tag = " ".join(text.split())
    if not 1 <= len(tag) <= MAX_TAG_CHARACTERS or not tag.isprintable():
        raise QueryError(
            f"The tag {text[:MAX_TAG_CHARACTERS]!r} has to have 1 to {MAX_TAG_CHARACTERS} "
            "printable characters."
        )
    return tag


def tag(
    catalog: Catalog,
    places: Sequence[Path | str],
    image_ids: Sequence[int],
    *,
    add: Sequence[str],
    remove: Sequence[str],
) -> list[int]:
    """Add tags to images by id, by path, or below a folder, and take others away; their ids.

    QueryError for a tag that `check_tag` refuses, NotFoundError when nothing matches.
    """
    added, removed = [check_tag(one) for one in add], [check_tag(one) for one in remove]
    ids = sorted({*image_ids, *catalog.find_images([normal(place) for place in places])})
    known = catalog.tag_images(ids, add=added, remove=removed)
    if not known:
        wanted = ", ".join([*map(str, places), *map(str, image_ids)]) or "nothing"
        raise NotFoundError(f"The library holds no image at {wanted}.")
    return known


def prune(catalog: Catalog, sources: Sources, *, only_look: bool) -> Pruned:
    """Forget files that the last look at their folder missed and that are still gone.

    With `only_look` nothing is forgotten. An image goes with its last path.
    """
    gone = [path for path in catalog.missing_files() if not sources.holds(path)]
    return Pruned(tuple(gone), 0 if only_look else catalog.forget_files(gone))
