"""What FastAPI does not write into OpenAPI by itself: problems with an example each, pictures,
bodies that routes read themselves, and scopes."""

from __future__ import annotations

import json
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import TypeAdapter

from segsearch.core.errors import (
    AnswerError,
    BusyError,
    ConflictError,
    DamageError,
    DiskFullError,
    EndpointError,
    EndpointMissingError,
    InputError,
    KeyMissingError,
    LibraryMissingError,
    ModelError,
    NotFoundError,
    OverloadError,
    PathError,
    PictureError,
    PictureTooLargeError,
    QueryError,
    RateError,
    ReadOnlyError,
    RecipeError,
    ScopeError,
)
from segsearch.search.schema import SearchRequest
from segsearch_api.deps import JSON, UPLOAD
from segsearch_api.errors import MEDIA_TYPE, ProblemResponse, problem_of, refusal
from segsearch_api.middleware.auth import scope_for
from segsearch_api.middleware.guards import MAX_JSON_BYTES
from segsearch_api.schema_document import REFERENCE, operations, put_right
from segsearch_api.schemas.library import PolygonMask, Problem

Responses = dict[int | str, dict[str, Any]]

NOT_FOUND = problem_of(NotFoundError("There is no segment 9000 in the library."))
INVALID = refusal(422, "query.limit: Input should be less than or equal to 1000.")
BAD_QUERY = problem_of(QueryError("The query is empty: give words to look for."))
BAD_MOMENT = problem_of(
    QueryError("The video 4 lasts 18.20 seconds, there is no second 60.00 in it.")
)
NO_LIFE = problem_of(NotFoundError("The segment 812 is a picture's: only those of videos live."))
BAD_FOLDER = problem_of(PathError("The picture '/p/a.jpg' does not lie below '/q/'."))
BAD_TAG = problem_of(QueryError("The tag '' has to have 1 to 100 printable characters."))
BAD_PICTURE = problem_of(PictureError("The file is empty (0 bytes)."))
TOO_LARGE = problem_of(
    PictureTooLargeError(
        "The picture is 50,000 x 50,000 pixels, more than the 200,000,000 allowed by "
        "SEGSEARCH_MAX_PIXELS."
    )
)
BODY_TOO_LARGE = refusal(413, f"The body is larger than the {MAX_JSON_BYTES:,} bytes allowed here.")
MALFORMED = refusal(400, "Missing boundary in multipart.")
EMPTY = problem_of(
    LibraryMissingError("The library '/library' is empty: run `segsearch index` first.")
)
OTHER_MODELS = problem_of(
    RecipeError(
        "The library's vectors come from clip-lite@1f0c..., here is clip-lite@77ab...: run "
        "`segsearch index --rebuild` to make new ones."
    )
)
OTHER_TYPE = refusal(415, "Expected application/json or multipart/form-data, not 'text/plain'.")
HOST = refusal(421, "This server answers to localhost only, not to 'elsewhere.example'.")
DAMAGED = problem_of(DamageError("The catalog cannot be read: database disk image is malformed."))
BUSY = problem_of(BusyError("Another process has held the catalog's lock for 30 seconds."))
OVERLOADED = problem_of(OverloadError("33 searches are under way already: try again shortly."))
READ_ONLY = problem_of(
    ReadOnlyError("The library '/library' is read-only for this user: it can be searched only.")
)
FULL = problem_of(DiskFullError("The disk under '/library/uploads' is full: make room."))
NO_COLLECTION = problem_of(NotFoundError("There is no collection 'holidays' in the library."))
NO_SEARCH = problem_of(NotFoundError("There is no saved search 'umbrellas' in the library."))
FULL_OF_SEARCHES = problem_of(
    InputError("The library holds 1,000 saved searches, the most there may be: delete one first.")
)
TAKEN = problem_of(ConflictError("There is a collection 'holidays' already."))
BAD_PROMPT = problem_of(InputError("Nothing is prompted: give points, boxes or a mask."))
NO_PROMPTS = problem_of(ModelError("The segmenter takes no points or boxes."))
UPLOAD_TOO_LARGE = refusal(413, "The body is larger than the 201,048,576 bytes allowed here.")
NO_RANGE = refusal(416, "The file has 1,048,576 bytes: it has no part 'bytes=2000000-'.")
NOT_ACCEPTABLE = refusal(406, "Expected image/png, image/svg+xml or application/json.")
KEY_MISSING = problem_of(KeyMissingError("An API key is needed: send 'Authorization: Bearer KEY'."))
SCOPE = problem_of(ScopeError("The key 'laptop' may read, this needs write."))
ORIGIN = refusal(403, "Pages of 'https://elsewhere.example' may change nothing here.")
TOO_OFTEN = problem_of(RateError("More than 1200 requests a minute: the next in 0.1 seconds."))
NO_ENDPOINT = problem_of(
    EndpointMissingError(
        "There is no endpoint to ask: set SEGSEARCH_CAPTION_URL and SEGSEARCH_CAPTION_MODEL."
    )
)
ENDPOINT_FAILED = problem_of(
    EndpointError("http://localhost:8001/v1/chat/completions answers with status 401 (wrong key).")
)
NO_ANSWER = problem_of(AnswerError("The model refuses: 'I will not describe this picture.'."))
ANYWHERE = (KEY_MISSING, SCOPE, TOO_OFTEN)


def refusals(
    *examples: ProblemResponse, library: bool = True, busy: bool | None = None
) -> Responses:
    """OpenAPI's `responses` for these problems; several of one status become named examples.

    Any route can be asked under a foreign name. Those of the `library` need a key where keys are
    asked for, and find it damaged or `busy`.
    """
    responses: Responses = {}
    places = ANYWHERE if library else ()
    states = (DAMAGED, BUSY) if (library if busy is None else busy) else ()
    for problem in (*examples, HOST, *places, *states):
        document = json.loads(bytes(problem.body))
        schema = {"$ref": "#/components/schemas/Problem"}
        content = {MEDIA_TYPE: {"schema": schema, "examples": {}}}
        row = {"description": document["title"], "content": content}
        row = responses.setdefault(problem.status_code, row)
        row["content"][MEDIA_TYPE]["examples"][document["code"]] = {"value": document}
    return responses


def picture(media_type: str, description: str) -> dict[str, Any]:
    """OpenAPI's words for an answer that is a picture."""
    content = {media_type: {"schema": {"type": "string", "format": "binary"}}}
    headers = {
        "ETag": {
            "description": "Send it back as If-None-Match: 304 when nothing has changed.",
            "schema": {"type": "string"},
        },
        "Content-Disposition": {
            "description": "What a browser that saves it calls it (RFC 6266), where it has a name.",
            "schema": {"type": "string"},
        },
    }
    return {"description": description, "content": content, "headers": headers}


def drawing(ok: dict[str, Any], *examples: ProblemResponse) -> Responses:
    """OpenAPI's `responses` of a route that draws: `ok` for 200, and what all of them refuse."""
    unchanged = {"description": "The caller's copy is still right; no body."}
    return {200: ok, 304: unchanged, **refusals(NOT_FOUND, INVALID, OVERLOADED, *examples)}


def json_body(schema: dict[str, Any], examples: dict[str, Any]) -> dict[str, Any]:
    """OpenAPI's words for a body of JSON that a route reads by `deps.read_body`."""
    return _body({JSON: {"schema": schema, "examples": examples}})


def upload_body(schema: dict[str, Any]) -> dict[str, Any]:
    """The same for a form with a `picture` file.

    A route that takes both is described as two: client generators know one kind of body each.
    """
    encoding = {"picture": {"contentType": "image/*"}}
    return _body({UPLOAD: {"schema": schema, "encoding": encoding}})


def _body(content: dict[str, Any]) -> dict[str, Any]:
    return {"requestBody": {"required": True, "content": content}}


def describe(app: FastAPI, *, need_key: bool) -> None:
    """Let `app.openapi()` include documents that routes write themselves, and who may ask."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = get_openapi(
                title=app.title, version=app.version, summary=app.summary,
                description=app.description, routes=app.routes, tags=app.openapi_tags,
                servers=app.servers, contact=app.contact, license_info=app.license_info,
            )  # fmt: skip
            schemas = document.setdefault("components", {}).setdefault("schemas", {})
            for unnamed in (Problem, SearchRequest, PolygonMask):
                model = TypeAdapter(unnamed).json_schema(ref_template=REFERENCE)
                schemas.update(model.pop("$defs", {}))
                schemas[unnamed.__name__] = model
            _add_security(document, need_key=need_key)
            put_right(document)
            app.openapi_schema = document
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's documented way to extend it


def _add_security(document: dict[str, Any], *, need_key: bool) -> None:
    """How a key is shown, which scope each operation needs, and whether it goes without: the empty
    choice stands for a server that asks for none."""
    key = "An API key of the library"
    document["components"]["securitySchemes"] = {
        "key": {"type": "http", "scheme": "bearer", "description": f"{key}."},
        "password": {
            "type": "http",
            "scheme": "basic",
            "description": f"{key} as the password, under any name.",
        },
    }
    choices: list[dict[str, list[str]]] = [{"key": []}, {"password": []}]
    document["security"] = choices if need_key else [*choices, {}]
    for method, path, operation in operations(document):
        scope = scope_for(method.upper(), path)
        if scope is None:
            operation["security"] = []
        else:
            operation["security"] = document["security"]
            operation["x-scope"] = scope.value
        if method not in {"get", "head"}:
            _add_example(operation, ORIGIN)  # a page of another site may not send it
        if "requestBody" in operation:
            _add_example(operation, MALFORMED)
            _add_example(operation, BODY_TOO_LARGE)


def _add_example(operation: dict[str, Any], problem: ProblemResponse) -> None:
    for status, row in refusals(problem, library=False).items():
        if status == problem.status_code:
            present = operation["responses"].setdefault(str(status), row)
            examples = present["content"][MEDIA_TYPE]["examples"]
            examples.update(row["content"][MEDIA_TYPE]["examples"])
