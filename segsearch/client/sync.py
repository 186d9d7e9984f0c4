"""A library on a server, as Python calls: `Client` over HTTP, typed, every route of the API.

    with Client("http://127.0.0.1:8000") as library:
        for hit in library.search("a red umbrella")["hits"]:
            print(hit["score"], hit["path"], hit["box"])

Answers are the API's documents as dictionaries, pictures are bytes. What the server refuses is
raised as `ApiError` with its `code`; a server that cannot be reached as `UnreachableError`.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, cast
from urllib.parse import quote

import httpx

from segsearch.client.transport import (
    Connection,
    Document,
    Events,
    File,
    all_opened,
    field,
    forms,
    name_of,
    opened,
)
from segsearch.core.atomic import whole
from segsearch.core.errors import ApiError, InputError

Coordinates = Sequence[Sequence[float]]
# Refusals that are about a picture, not about the server or the caller.
OF_A_PICTURE = frozenset({"picture_error", "picture_too_large_error", "body_too_large"})
TIMEOUT_SECONDS = 120.0  # the first search of a server waits for its models


class Client:
    """One library behind one server. Use as a context manager, or call `close`. Thread-safe.

    `key` is an API key; InputError for characters that no key has. A request that the server is too
    busy for (429) is sent again after the pause it asks for, `retries` times. `transport` reaches
    an application without a network.
    """

    def __init__(
        self,
        url: str = "http://127.0.0.1:8000",
        *,
        key: str | None = None,
        timeout_seconds: float = TIMEOUT_SECONDS,
        retries: int = 3,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._server = Connection(url, key, timeout_seconds, retries, transport)

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _problem: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the connections."""
        self._server.close()

    # Asking

    def search(
        self,
        text: str | None = None,
        *,
        picture: File | None = None,
        **terms: Any,
    ) -> Document:
        """`{"hits": [...], "seconds": ...}`: regions that answer words, a picture, and whatever
        else `POST /v1/search` takes, such as `segment_id`, `not_text`, `limit`, `per_image`."""
        wanted = {**terms, **({} if text is None else {"text": text})}
        if picture is None:
            return self._server.document("POST", "/v1/search", json=wanted)
        with opened(picture) as file:
            given = {name: value for name, value in wanted.items() if value is not None}
            fields = {name: field(value) for name, value in given.items()}
            return self._server.document("POST", "/v1/search", files={"picture": file}, data=fields)

    def scene(self, **wanted: Any) -> Document:
        """Pictures in which several regions stand as asked; see `POST /v1/search/scene`."""
        return self._server.document("POST", "/v1/search/scene", json=wanted)

    def segment(
        self,
        picture: int | File,
        *,
        points: Coordinates = (),
        labels: Sequence[int] | None = None,
        boxes: Coordinates = (),
        multimask: bool = True,
    ) -> Document:
        """Masks of what is pointed at in a stored image or a picture; `POST /v1/segment`."""
        prompt: Document = {
            "points": [list(one) for one in points],
            "boxes": [list(one) for one in boxes],
            "labels": None if labels is None else list(labels),
            "multimask": multimask,
        }
        if isinstance(picture, int):
            return self._server.document(
                "POST", "/v1/segment", json={"image_id": picture, **prompt}
            )
        with opened(picture) as file:
            fields = {"prompt": json.dumps(prompt)}
            return self._server.document(
                "POST", "/v1/segment", files={"picture": file}, data=fields
            )

    def export(self, into: Path, **wanted: Any) -> Path:
        """Write what `POST /v1/export` answers (`format`, `text`, `collection`, ...) to a file.

        What lay there stays when the answer is cut short.
        """
        with (
            self._server.streamed("POST", "/v1/export", json=wanted) as answer,
            whole(into) as partial,
            partial.open("wb") as file,
        ):
            for piece in answer.iter_bytes():
                file.write(piece)
        return into

    # Images

    def upload(self, *files: File, collection: str | None = None) -> Document:
        """Hand pictures over; `{"images": [...], "refused": [...]}`. They are indexed later.

        Many or large ones go in several requests. ApiError when no picture is taken.
        """
        fields = {"collection": collection} if collection is not None else {}
        found: Document = {"images": [], "refused": []}
        first: ApiError | None = None
        waiting = forms(files)
        while waiting:
            sent = waiting.pop(0)
            try:
                answer = self._sent(sent, fields)
            except ApiError as problem:
                if problem.code not in OF_A_PICTURE:
                    raise
                first = first or problem
                half = len(sent) // 2  # a form of which nothing was taken tells of one file only
                if half:
                    waiting[:0] = [sent[:half], sent[half:]]
                    continue
                refusal = {"filename": name_of(sent[0]), "code": problem.code}
                answer = {"images": [], "refused": [{**refusal, "detail": str(problem)}]}
            for name, documents in found.items():
                documents += answer[name]
        if first is not None and not found["images"]:
            raise first
        return found

    def _sent(self, files: Sequence[File], fields: dict[str, str]) -> Document:
        with all_opened(files) as opened:
            parts = [("file", one) for one in opened]
            return self._server.document("POST", "/v1/images", files=parts, data=fields)

    def wait(self, image_ids: Sequence[int], *, seconds: float = 600.0) -> list[Document]:
        """The images once none of them waits any more; TimeoutError when that takes longer."""
        until = time.monotonic() + seconds
        while True:
            found = [self.image(one) for one in image_ids]
            if all(one["state"] not in {"pending", "running"} for one in found):
                return found
            if time.monotonic() > until:
                raise TimeoutError(f"Images still wait after {seconds:g} seconds.")
            time.sleep(0.5)

    def images(
        self, *, state: str | None = None, collection: str | None = None, page: int = 100
    ) -> Iterator[Document]:
        """Every image by ascending id, fetched a page at a time."""
        chosen = {"state": state, "collection": collection}
        params = {name: value for name, value in chosen.items() if value is not None}
        after: int | None = 0
        while after is not None:
            where = {**params, "after": after, "limit": page}
            found = self._server.document("GET", "/v1/images", params=where)
            yield from found["images"]
            after = found["next_after"]

    def image(self, image_id: int) -> Document:
        """One image."""
        return self._server.document("GET", f"/v1/images/{image_id}")

    def tag(
        self, image_id: int, *, add: Sequence[str] = (), remove: Sequence[str] = ()
    ) -> Document:
        """Give an image tags, take others away; the image as it is then."""
        wanted = {"add": list(add), "remove": list(remove)}
        return self._server.document("POST", f"/v1/images/{image_id}/tags", json=wanted)

    def delete_image(self, image_id: int) -> None:
        """Forget an image; its file goes when it was uploaded."""
        self._server.send("DELETE", f"/v1/images/{image_id}")

    def segments(self, image_id: int) -> list[Document]:
        """All segments of an image."""
        found = self._server.document("GET", f"/v1/images/{image_id}/segments")
        return cast("list[Document]", found["segments"])

    def thumbnail(self, image_id: int, side: int = 480) -> bytes:
        """A small JPEG."""
        return self._server.bytes_of(f"/v1/images/{image_id}/thumbnail", side=side)

    def original(self, image_id: int) -> bytes:
        """The upright pixels as PNG."""
        return self._server.bytes_of(f"/v1/images/{image_id}/original")

    def file(self, image_id: int) -> bytes:
        """The image's file as it was indexed."""
        return self._server.bytes_of(f"/v1/images/{image_id}/file")

    # Segments

    def segment_of(self, segment_id: int) -> Document:
        """One segment with its mask."""
        return self._server.document("GET", f"/v1/segments/{segment_id}")

    def delete_segment(self, segment_id: int) -> None:
        """Forget a segment."""
        self._server.send("DELETE", f"/v1/segments/{segment_id}")

    def mask(self, segment_id: int, form: Literal["rle", "polygons"] = "rle") -> Document:
        """A mask as COCO run lengths or polygons."""
        path = f"/v1/segments/{segment_id}/mask"
        return self._server.document("GET", path, params={"format": form})

    def mask_picture(self, segment_id: int, form: Literal["png", "svg"] = "png") -> bytes:
        """A mask as a picture file."""
        return self._server.bytes_of(f"/v1/segments/{segment_id}/mask", format=form)

    def mask_png(self, segment_id: int) -> bytes:
        """The mask over the whole frame: 255 inside, 0 outside."""
        return self._server.bytes_of(f"/v1/segments/{segment_id}/mask.png")

    def cutout(self, segment_id: int) -> bytes:
        """The region alone as PNG; the mask is the alpha channel."""
        return self._server.bytes_of(f"/v1/segments/{segment_id}/cutout.png")

    def crop(self, segment_id: int, margin: float = 0.15) -> bytes:
        """The square around the region as PNG."""
        return self._server.bytes_of(f"/v1/segments/{segment_id}/crop.png", margin=margin)

    def overlay(self, segment_id: int) -> bytes:
        """The whole picture as PNG, the region marked."""
        return self._server.bytes_of(f"/v1/segments/{segment_id}/overlay.png")

    # Collections

    def collections(self) -> list[Document]:
        """All collections by name."""
        return cast(
            "list[Document]", self._server.document("GET", "/v1/collections")["collections"]
        )

    def collection(self, name: str) -> Document:
        """One collection."""
        return self._server.document("GET", _collection(name))

    def create_collection(self, name: str) -> Document:
        """Make an empty collection."""
        return self._server.document("POST", "/v1/collections", json={"name": name})

    def rename_collection(self, name: str, new_name: str) -> Document:
        """Give a collection another name."""
        return self._server.document("PATCH", _collection(name), json={"name": new_name})

    def delete_collection(self, name: str) -> None:
        """Forget a collection; its images stay."""
        self._server.send("DELETE", _collection(name))

    def add_to_collection(self, name: str, image_ids: Sequence[int]) -> int:
        """Put images in; how many were not in it."""
        return self._changed(f"{_collection(name)}/images", image_ids)

    def take_from_collection(self, name: str, image_ids: Sequence[int]) -> int:
        """Take images out; how many were in it."""
        return self._changed(f"{_collection(name)}/images/remove", image_ids)

    # The library and its server

    def jobs(self, *, before: int | None = None, limit: int = 50) -> list[Document]:
        """Runs that fill the library, newest first."""
        params = {"limit": limit, **({} if before is None else {"before": before})}
        found = self._server.document("GET", "/v1/jobs", params=params)
        return cast("list[Document]", found["jobs"])

    def job(self, job_id: int) -> Document:
        """One run."""
        return self._server.document("GET", f"/v1/jobs/{job_id}")

    def job_events(self) -> Events[list[Document]]:
        """The running jobs, at once and at each change, until the caller stops or closes it."""
        return Events(self._server, "/v1/jobs/events", lambda data: json.loads(data)["jobs"])

    def status(self) -> Document:
        """Counts, and what is being done."""
        return self._server.document("GET", "/v1/status")

    def stats(self) -> Document:
        """Counts by state, format and size."""
        return self._server.document("GET", "/v1/stats")

    def models(self) -> Document:
        """The models in use, and the presets."""
        return self._server.document("GET", "/v1/models")

    def api_keys(self) -> list[Document]:
        """Every API key that was made, without what opens."""
        return cast("list[Document]", self._server.document("GET", "/v1/keys")["keys"])

    def create_key(self, name: str, scope: Literal["read", "write", "admin"] = "read") -> Document:
        """Make an API key; `key` is its text, given only here."""
        return self._server.document("POST", "/v1/keys", json={"name": name, "scope": scope})

    def revoke_key(self, key_id: str) -> Document:
        """End an API key."""
        return self._server.document("DELETE", f"/v1/keys/{quote(key_id, safe='')}")

    def metrics(self) -> str:
        """What Prometheus collects."""
        return self._server.send("GET", "/metrics").text

    def is_alive(self) -> bool:
        """Whether the server answers."""
        return self._server.says_ok("/healthz")

    def is_ready(self) -> bool:
        """Whether its models are in memory."""
        return self._server.says_ok("/readyz")

    def _changed(self, path: str, image_ids: Sequence[int]) -> int:
        found = self._server.document("POST", path, json={"image_ids": list(image_ids)})
        return int(found["changed"])


def _collection(name: str) -> str:
    if not name:  # its address would be that of all collections
        raise InputError("A collection's name is empty.")
    return f"/v1/collections/{quote(name, safe='')}"
