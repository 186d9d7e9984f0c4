"""Saved searches: addresses of the page that people keep under a name."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from segsearch.core.errors import InputError, NotFoundError
from segsearch.core.names import checked_name, composed
from segsearch.core.types import SavedSearch
from segsearch.storage.catalog.database import Database
from segsearch.storage.catalog.portable import NOW, insert
from segsearch.storage.catalog.rows import iso
from segsearch.storage.catalog.tables import SAVED_SEARCH

MAX_SAVED_SEARCHES = 1_000  # all of them are listed at once
MAX_ADDRESS_CHARACTERS = 8_000


class SavedSearchMixin(Database):
    """The part of the catalog that holds saved searches."""

    def saved_searches(self) -> list[SavedSearch]:
        """All of them by name."""
        with self._reading() as db:
            rows = db.execute(sa.select(SAVED_SEARCH).order_by(SAVED_SEARCH.c.name))
            return [_saved_search(row) for row in rows]

    def save_search(self, name: str, address: str) -> SavedSearch:
        """Keep an address under a name, in the place of what had that name before.

        InputError for a name or an address that `check_address` refuses, and when there are
        1,000 already.
        """
        chosen, kept = checked_name(name), check_address(address)
        own = SAVED_SEARCH.c.name == chosen
        with self._writing() as db:
            is_new = db.execute(sa.select(SAVED_SEARCH.c.name).where(own)).first() is None
            count = db.execute(sa.select(sa.func.count()).select_from(SAVED_SEARCH)).scalar_one()
            if is_new and count >= MAX_SAVED_SEARCHES:
                raise InputError(
                    f"The library holds {count:,} saved searches, the most there may be: delete "
                    "one first."
                )
            row = insert(SAVED_SEARCH).values(name=chosen, address=kept, saved_at=NOW)
            changed = {"address": row.excluded.address, "saved_at": row.excluded.saved_at}
            db.execute(row.on_conflict_do_update(index_elements=["name"], set_=changed))
            return _saved_search(db.execute(sa.select(SAVED_SEARCH).where(own)).one())

    def delete_saved_search(self, name: str) -> None:
        """Forget a saved search; NotFoundError when there is none of this name."""
        own = SAVED_SEARCH.c.name == composed(name)
        with self._writing() as db:
            if not db.execute(sa.delete(SAVED_SEARCH).where(own)).rowcount:
                raise NotFoundError(f"There is no saved search {name[:120]!r} in the library.")


def check_address(address: str) -> str:
    """What stands behind the path in an address of the page; InputError unless it begins with a
    question mark and has at most 8,000 characters."""
    if not address.startswith("?") or len(address) > MAX_ADDRESS_CHARACTERS:
        raise InputError(
            f"The address {address[:60]!r} cannot be saved: expected a question mark and what "
            f"follows it, at most {MAX_ADDRESS_CHARACTERS:,} characters."
        )
    return address


def _saved_search(row: Any) -> SavedSearch:
    return SavedSearch(row.name, row.address, iso(row.saved_at, "seconds"))
