"""Puts right what pydantic and FastAPI leave in an OpenAPI document that tools stumble over.

Bodies that routes read themselves become components with a name, nulls return to examples (FastAPI
drops them), and arrays of one kind of item say so by `items`, which older tools look for.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

REFERENCE = "#/components/schemas/{model}"
Document = dict[str, Any]


def put_right(document: Document) -> None:
    """Change a document in place: all of the above."""
    schemas: Document = document["components"]["schemas"]
    for _, _, operation in operations(document):
        for media in operation.get("requestBody", {}).get("content", {}).values():
            _name(media, schemas)
    for part in [*_parts(document)]:
        _even(part)
    for part in [*_parts(document)]:
        if isinstance(part.get("examples"), list):
            part["examples"] = [_with_nulls(row, part, schemas) for row in part["examples"]]
    for media in _media_in(document):
        for example in media.get("examples", {}).values():
            example["value"] = _with_nulls(example["value"], media["schema"], schemas)


def operations(document: Document) -> Iterator[tuple[str, str, Document]]:
    """Method in lower case, path, and operation of each."""
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield method, path, operation


def _name(media: Document, schemas: Document) -> None:
    """Give an object that stands in an operation a name of its own: its title."""
    schema = media["schema"]
    if schema.get("type") == "object" and "title" in schema:
        schemas.setdefault(schema["title"], schema)
        media["schema"] = {"$ref": REFERENCE.format(model=schema["title"])}


def _parts(value: Any) -> Iterator[Document]:
    """Every object in a document."""
    if isinstance(value, dict):
        yield value
    inner: Any = value.values() if isinstance(value, dict) else value
    if isinstance(value, dict | list):
        for part in [*inner]:
            yield from _parts(part)


def _media_in(document: Document) -> Iterator[Document]:
    for _, _, operation in operations(document):
        bodies = [operation.get("requestBody", {}), *operation["responses"].values()]
        for body in bodies:
            yield from body.get("content", {}).values()


def _even(schema: Document) -> None:
    """Items of one kind, which pydantic lists by their place, by their kind."""
    items = schema.get("prefixItems", [])
    if items and all(item == items[0] for item in items) and "maxItems" in schema:
        schema["items"] = schema.pop("prefixItems")[0]


def _with_nulls(value: Any, schema: Document, schemas: Document) -> Any:
    """An example with null for each field that is required, may be null, and is not there."""
    schema = _resolved(schema, value, schemas)
    if isinstance(value, list):
        return [_with_nulls(part, schema.get("items", {}), schemas) for part in value]
    if not isinstance(value, dict):
        return value
    fields = schema.get("properties", {})
    others = schema.get("additionalProperties")
    others = others if isinstance(others, dict) else {}
    whole = {
        name: _with_nulls(part, fields.get(name, others), schemas) for name, part in value.items()
    }
    for name in schema.get("required", []):
        kinds = fields.get(name, {}).get("anyOf", [])
        if name not in whole and any(kind.get("type") == "null" for kind in kinds):
            whole[name] = None
    return whole


def _resolved(schema: Document, value: Any, schemas: Document) -> Document:
    """The schema behind a reference, or of several the first that a value's kind fits."""
    if "$ref" in schema:
        return _resolved(schemas[schema["$ref"].rpartition("/")[2]], value, schemas)
    choices: list[Document] = schema.get("anyOf") or schema.get("oneOf") or []
    for choice in choices:
        found = _resolved(choice, value, schemas)
        if found.get("type") == ("object" if isinstance(value, dict) else "array"):
            return found
    return schema
