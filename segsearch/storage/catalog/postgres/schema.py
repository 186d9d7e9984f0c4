"""The tables in PostgreSQL, and what follows them: words, counters, and the listing.

SQLite's libraries have a history of migrations up to 0014. A library on PostgreSQL begins with the
tables as they are described now, and goes on with the migrations that come after.
"""

from __future__ import annotations

from collections.abc import Iterator

import sqlalchemy as sa

from segsearch.core.errors import DamageError
from segsearch.media.sources.paths import UPLOAD
from segsearch.storage.catalog.listing import right_rows
from segsearch.storage.catalog.postgres.keys import API_KEY
from segsearch.storage.catalog.request_limits import REQUEST_COUNT
from segsearch.storage.catalog.tables import INGEST, METADATA

OLDEST_SERVER = 150_000  # as PostgreSQL counts its versions: 15.0
# Which order and case of letters the server knows, best first: by Unicode, whatever the database's.
COLLATIONS = ("pg_unicode_fast", "pg_c_utf8", "und-x-icu", "unicode")
FOLDED_FROM = 180_000  # `casefold`
LONGEST_WORD = 2_000  # bytes; a lexeme may have 2,046
LAST_PLACE = 16_383  # of a word in a tsvector
_CHARACTERS = (*range(0x80, 0xD800), *range(0xE000, 0x110000))
LEXEMES = "lexemes"  # a column of the tables that words are looked for in
SPACED = "spaced_words(spaced)"

# Kind, table, recipe, key, and which rows count: as `counters.py` counts them.
COUNTED = (
    ("images", "image", "0", "''", "true"),
    ("format", "image", "0", "it.format", "it.format <> ''"),
    ("missing", "source", "0", "''", "it.missing_since IS NOT NULL"),
    ("excluded", "source", "0", "''", "it.excluded_since IS NOT NULL"),
    ("state", "ingest", "it.recipe_id", "it.state", "true"),
    ("captions", "caption", "0", "''", "true"),
    ("segments", "segment", "it.recipe_id", "it.area_tenth::text", "true"),
    ("reading", "reading", "it.recipe_id", "it.state", "true"),
    ("lines", "text_line", "it.recipe_id", "''", "true"),
)
VIDEOS = ("videos", "video", "0", "''", "true")
VIDEO_FUNCTIONS = (
    "video_gone_delete",
    *(f"count_videos_{event}" for event in ("insert", "delete", "update")),
)
EVENTS = {
    "INSERT": "NEW TABLE AS new_rows",
    "DELETE": "OLD TABLE AS old_rows",
    "UPDATE": "OLD TABLE AS old_rows NEW TABLE AS new_rows",
}


def create(db: sa.Connection) -> None:
    """Make everything in an empty database, in the caller's transaction. DamageError where the
    server is too old, or the database holds tables of others."""
    version = int(db.exec_driver_sql("SHOW server_version_num").scalar_one())
    if version < OLDEST_SERVER:
        raise DamageError(
            f"The server is PostgreSQL {version // 10_000}, segsearch needs "
            f"{OLDEST_SERVER // 10_000} or later."
        )
    encoding = db.exec_driver_sql("SHOW server_encoding").scalar_one()
    if encoding != "UTF8":
        raise DamageError(f"The database's encoding is {encoding}, expected UTF8.")
    ours = {*METADATA.tables, API_KEY.name, REQUEST_COUNT.name}
    taken = sorted(set(sa.inspect(db).get_table_names()) & ours)
    if taken:
        raise DamageError(
            f"The database holds a table {taken[0]!r} that is not segsearch's: name an empty one."
        )
    db.exec_driver_sql("CREATE EXTENSION IF NOT EXISTS pg_trgm")
    for statement in _functions(_collation(db), version):
        db.exec_driver_sql(statement)
    METADATA.create_all(db)
    API_KEY.create(db)
    REQUEST_COUNT.create(db)
    for statement in (*_indexes_of_words(), *_counters(), *_listing(db.dialect), *_videos()):
        db.exec_driver_sql(statement)


def for_videos(dialect: sa.Dialect) -> Iterator[str]:
    """What a database of before 0019 lacks beside the tables of videos."""
    yield _list_picture(dialect)
    yield from _videos()


def _videos() -> Iterator[str]:
    kind, table, recipe, key, condition = VIDEOS
    yield from _triggers(table, f"count_{kind}", _of_rows(kind, recipe, key, condition))
    gone = (
        "DELETE FROM video WHERE id IN (SELECT video_id FROM old_rows) "
        "AND NOT EXISTS (SELECT 1 FROM shot WHERE shot.video_id = video.id)"
    )
    yield from _triggers("shot", "video_gone", {"DELETE": gone})


def _collation(db: sa.Connection) -> str:
    known = set(db.exec_driver_sql("SELECT collname FROM pg_collation").scalars())
    return next((name for name in COLLATIONS if name in known), "default")


def _functions(collation: str, version: int) -> Iterator[str]:
    """What conditions call. Their bodies are bound to what they name as they are made: an index
    that calls them is built under another search path."""
    text = f'normalize(t, NFC) COLLATE "{collation}"'
    knows = version >= FOLDED_FROM and collation == COLLATIONS[0]
    yield (
        "CREATE FUNCTION folded(t text) RETURNS text IMMUTABLE PARALLEL SAFE "
        f"RETURN normalize({f'casefold({text})' if knows else _case_folded(text)}, NFC)"
    )
    # No stop words: what everybody says weighs little, but is found.
    yield "CREATE TEXT SEARCH DICTIONARY segsearch_stem (TEMPLATE = snowball, LANGUAGE = english)"
    yield (
        "CREATE FUNCTION caption_words(t text) RETURNS text[] IMMUTABLE PARALLEL SAFE "
        "RETURN ARRAY(SELECT coalesce((ts_lexize('segsearch_stem', word))[1], word) "
        "FROM string_to_table(regexp_replace(regexp_replace("
        f"normalize(lower(t COLLATE \"{collation}\"), NFKD), '[\\u0300-\\u036f]', '', 'g') "
        f"COLLATE \"{collation}\", '[^[:alnum:]]+', ' ', 'g'), ' ') "
        "WITH ORDINALITY AS each(word, place) "
        f"WHERE word <> '' AND octet_length(word) <= {LONGEST_WORD} ORDER BY place)"
    )
    yield (
        "CREATE FUNCTION spaced_words(t text) RETURNS text[] IMMUTABLE PARALLEL SAFE "
        "RETURN ARRAY(SELECT word FROM string_to_table(t, ' ') "
        "WITH ORDINALITY AS each(word, place) "
        f"WHERE word <> '' AND octet_length(word) <= {LONGEST_WORD} ORDER BY place)"
    )
    # By hand: PostgreSQL's own parser takes numbers, addresses and hyphens for words of their own.
    yield (
        "CREATE FUNCTION vector_of(words text[]) RETURNS tsvector IMMUTABLE PARALLEL SAFE "
        "RETURN (SELECT coalesce(string_agg(quote_literal(word) || ':' || "
        f"least(place, {LAST_PLACE}), ' '), '')::tsvector "
        "FROM unnest(words) WITH ORDINALITY AS each(word, place))"
    )
    yield (
        "CREATE FUNCTION phrase_of(words text[], is_prefix boolean) RETURNS tsquery "
        "IMMUTABLE PARALLEL SAFE RETURN (SELECT coalesce(string_agg(quote_literal(word) || "
        "CASE WHEN is_prefix AND place = cardinality(words) THEN ':*' ELSE '' END, "
        "' <-> ' ORDER BY place), '')::tsquery "
        "FROM unnest(words) WITH ORDINALITY AS each(word, place))"
    )
    yield (
        "CREATE FUNCTION kilometres(latitude float8, longitude float8, other_latitude float8, "
        "other_longitude float8) RETURNS float8 IMMUTABLE PARALLEL SAFE RETURN "
        "2 * 6371.0088 * asin(sqrt(least(1.0, "
        "sin(radians(other_latitude - latitude) / 2) ^ 2 + cos(radians(latitude)) * "
        "cos(radians(other_latitude)) * sin(radians(other_longitude - longitude) / 2) ^ 2)))"
    )
    upload = UPLOAD.pattern.replace("?P<album>", "").replace("'", "''")
    yield (
        "CREATE FUNCTION album_of(path text) RETURNS text IMMUTABLE PARALLEL SAFE RETURN "
        "nullif(regexp_replace(CASE "
        f"WHEN path ~ '{upload}' THEN (regexp_match(path, '{upload}'))[1] "
        "WHEN path ~ '/' THEN regexp_replace(regexp_replace(path, '/[^/]*$', ''), '^.*/', '') "
        "END, '\\.tar$', '', 'i'), '')"
    )


def _case_folded(text: str) -> str:
    """`str.casefold` of an expression where the server knows lower case alone: what that leaves
    apart, such as ß from ss, is taken together after it."""
    apart = {sign: sign.casefold() for sign in map(chr, _CHARACTERS) if sign == sign.lower()}
    apart = {sign: alike for sign, alike in apart.items() if alike != sign}
    single = {sign: alike for sign, alike in apart.items() if len(alike) == 1}
    folded = f"lower(replace({text}, 'İ', 'i\u0307'))"
    for sign in sorted(apart.keys() - single.keys()):
        folded = f"replace({folded}, '{sign}', '{apart[sign]}')"
    folded = f"translate({folded}, '{''.join(single)}', '{''.join(single.values())}')"
    return f"CASE WHEN t ~ '^[ -~]*$' THEN lower({text}) ELSE {folded} END"


def _indexes_of_words() -> Iterator[str]:
    # As columns: a word that most rows hold is looked for in all of them, and where words have to
    # stand side by side each row is looked at again. Taking texts apart then would take seconds.
    for table, words in (("caption", "caption_words(text)"), ("picture_text", SPACED)):
        yield (
            f"ALTER TABLE {table} ADD COLUMN {LEXEMES} tsvector "
            f"GENERATED ALWAYS AS (vector_of({words})) STORED"
        )
        yield f"CREATE INDEX {table}_by_word ON {table} USING gin ({LEXEMES})"
    yield ("CREATE INDEX picture_text_by_part ON picture_text USING gin (folded gin_trgm_ops)")


def _counters() -> Iterator[str]:
    """Numbers that triggers keep. A change is a row of its own that is added up when it is read:
    those who change the same number would wait for each other until one has committed."""
    yield "ALTER TABLE counter DROP CONSTRAINT counter_pkey"
    yield "CREATE INDEX counter_by_recipe ON counter (recipe_id)"
    for kind, table, recipe, key, condition in COUNTED:
        yield from _triggers(table, f"count_{kind}", _of_rows(kind, recipe, key, condition))
    # A picture counts from its first link on, until its last one goes.
    links = "SELECT image_id, count(*) AS n FROM {rows} GROUP BY image_id"
    left = "(SELECT count(*) FROM near_duplicate AS any_ WHERE any_.image_id = some_.image_id)"
    first = f"FROM ({links.format(rows='new_rows')}) AS some_ WHERE {left} = some_.n"
    last = f"FROM ({links.format(rows='old_rows')}) AS some_ WHERE {left} = 0"
    into = (
        "INSERT INTO counter SELECT 'near_duplicates', 0, '', {by}count(*) {rows} "
        "HAVING count(*) > 0"
    )
    yield from _triggers(
        "near_duplicate",
        "count_near_duplicates",
        {"INSERT": into.format(by="", rows=first), "DELETE": into.format(by="-", rows=last)},
    )


def _of_rows(kind: str, recipe: str, key: str, condition: str) -> dict[str, str]:
    """What a statement changes in a number: one row for each that has changed."""
    rows = "SELECT {recipe} AS recipe, {key} AS key, {by} AS by FROM {rows} AS it WHERE {condition}"
    given = {"recipe": recipe, "key": key, "condition": condition}
    new, old = (
        rows.format(by=by, rows=name, **given) for by, name in ((1, "new_rows"), (-1, "old_rows"))
    )
    into = (
        f"INSERT INTO counter SELECT '{kind}', recipe, key, sum(by) FROM ({{rows}}) AS changed "
        "GROUP BY recipe, key HAVING sum(by) <> 0"
    )
    return {
        "INSERT": into.format(rows=new),
        "DELETE": into.format(rows=old),
        "UPDATE": into.format(rows=f"{new} UNION ALL {old}"),
    }


def _triggers(table: str, name: str, bodies: dict[str, str]) -> Iterator[str]:
    for event, body in bodies.items():
        own = f"{name}_{event.lower()}"
        yield (
            f"CREATE FUNCTION {own}() RETURNS trigger LANGUAGE plpgsql AS "
            f"$$ BEGIN {body}; RETURN NULL; END $$"
        )
        yield (
            f"CREATE TRIGGER {own} AFTER {event} ON {table} REFERENCING {EVENTS[event]} "
            f"FOR EACH STATEMENT EXECUTE FUNCTION {own}()"
        )


def _listing(dialect: sa.Dialect) -> Iterator[str]:
    """What a library is browsed by, found out again for each picture that changes."""
    yield _list_picture(dialect)
    for name, (table, event, condition, calls) in LISTED.items():
        body = "; ".join(f"PERFORM list_picture({call})" for call in calls)
        yield (
            f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS "
            f"$$ BEGIN {body}; RETURN NULL; END $$"
        )
        yield (
            f"CREATE TRIGGER {name} AFTER {event} ON {table} FOR EACH ROW WHEN ({condition}) "
            f"EXECUTE FUNCTION {name}()"
        )
    yield (
        "CREATE FUNCTION list_gone() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        "DELETE FROM listing WHERE image_id = OLD.image_id AND recipe_id = OLD.recipe_id; "
        "RETURN NULL; END $$"
    )
    yield (
        "CREATE TRIGGER list_gone AFTER DELETE ON ingest FOR EACH ROW WHEN (OLD.state = 'done') "
        "EXECUTE FUNCTION list_gone()"
    )


def _list_picture(dialect: sa.Dialect) -> str:
    rows = right_rows().where(INGEST.c.image_id == sa.literal_column("chosen"))
    compiled = rows.compile(dialect=dialect, compile_kwargs={"literal_binds": True})
    found = str(compiled).replace("%%", "%")
    return (
        "CREATE OR REPLACE FUNCTION list_picture(chosen bigint) RETURNS void "
        "LANGUAGE plpgsql AS $$ BEGIN "
        "DELETE FROM listing WHERE image_id = chosen AND recipe_id IN (SELECT id FROM recipe); "
        f"INSERT INTO listing (recipe_id, image_id, date, date_from, name) {found}; END $$"
    )


LISTED: dict[str, tuple[str, str, str, tuple[str, ...]]] = {
    "list_done": ("ingest", "INSERT", "NEW.state = 'done'", ("NEW.image_id",)),
    "list_changed": (
        "ingest",
        "UPDATE OF state",
        "(NEW.state = 'done') <> (OLD.state = 'done')",
        ("NEW.image_id",),
    ),
    "list_taken": (
        "image",
        "UPDATE OF taken_at",
        "OLD.taken_at IS DISTINCT FROM NEW.taken_at",
        ("NEW.id",),
    ),
    "list_path": ("source", "INSERT", "true", ("NEW.image_id",)),
    "list_path_gone": ("source", "DELETE", "true", ("OLD.image_id",)),
    "list_path_moved": (
        "source",
        "UPDATE OF image_id, mtime_ns",
        "OLD.image_id <> NEW.image_id OR OLD.mtime_ns <> NEW.mtime_ns",
        ("NEW.image_id", "OLD.image_id"),
    ),
}
