"""`Client`: every route of the HTTP API as a typed Python call.

    with Client("http://127.0.0.1:8000") as library:
        for hit in library.search("a red umbrella")["hits"]:
            print(hit["score"], hit["path"], hit["box"])

Answers are the API's JSON documents as dictionaries; pictures are bytes. Every call raises ApiError
with its `code` when the server refuses it, and UnreachableError when no server answers.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Literal
from urllib.parse import quote

import httpx

from segsearch.client.arranging import BrowseCalls
from segsearch.client.maps import MapCalls
from segsearch.client.queries import QueryCalls
from segsearch.client.transport import (
    Connection,
    Document,
    Events,
    File,
    as_parts,
    field,
    forms,
    name_of,
)
from segsearch.client.videos import VideoCalls
from segsearch.core.atomic import whole
from segsearch.core.errors import ApiError, InputError

Coordinates = Sequence[Sequence[float]]
# Codes of refusals that are about a picture, not about the server or the caller.
PICTURE_CODES = frozenset({"picture_error", "picture_too_large_error", "body_too_large"})
TIMEOUT_SECONDS = 120.0  # the first search of a server waits for its models
POLL_SECONDS = 0.5


class Client(BrowseCalls, QueryCalls, MapCalls, VideoCalls):
    """The library of one server. Use as a context manager, or call `close`. Thread-safe.

    `key` is an API key; InputError for characters that no key has. A server that is too busy (429)
    is asked again after the pause it asks for, `retries` times. `transport` replaces the network,
    for tests.
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
        """Close the connections."""
        self._server.close()

    # Searching

    def search(
        self, /, text: str | None = None, *, picture: File | None = None, **terms: Any
    ) -> Document:
        """`{"hits": [...], "seconds": ...}`: regions for words, a picture, or both.

        `terms` are the other fields of `POST /v1/search`: `segment_id`, `not_text`, `limit`,
        `per_image`, ...
        """
        query = {**terms, **({} if text is None else {"text": text})}
        if picture is None:
            return self._server.document("POST", "/v1/search", json=query)
        fields = {name: field(value) for name, value in query.items() if value is not None}
        with as_parts([picture]) as (part,):
            return self._server.document(
                "POST", "/v1/search/picture", files={"picture": part}, data=fields
            )

    def scene(self, /, **query: Any) -> Document:
        """Pictures that hold several things in the right places; fields of `/v1/search/scene`."""
        return self._server.document("POST", "/v1/search/scene", json=query)

    def segment(
        self,
        picture: int | File,
        *,
        points: Coordinates = (),
        labels: Sequence[int] | None = None,
        boxes: Coordinates = (),
        multimask: bool = True,
    ) -> Document:
        """Masks of what is pointed at in a stored image, by its id, or in a picture file.

        Points are x, y and boxes x0, y0, x1, y1 in pixels; labels are 1 inside, 0 outside.
        """
        prompt: Document = {
            "points": [list(point) for point in points],
            "boxes": [list(box) for box in boxes],
            "labels": None if labels is None else list(labels),
            "multimask": multimask,
        }
        if isinstance(picture, int):
            by_id = {"image_id": picture, **prompt}
            return self._server.document("POST", "/v1/segment", json=by_id)
        fields = {"prompt": json.dumps(prompt)}
        with as_parts([picture]) as (part,):
            return self._server.document(
                "POST", "/v1/segment/picture", files={"picture": part}, data=fields
            )

    def export(self, /, into: Path, **selection: Any) -> Path:
        """Write regions to a file; fields of `POST /v1/export`: `format`, `text`, `collection`, ...

        An earlier file stays as it was when the answer is cut short.
        """
        with (
            self._server.streamed("POST", "/v1/export", json=selection) as answer,
            whole(into) as partial,
            partial.open("wb") as file,
        ):
            for piece in answer.iter_bytes():
                file.write(piece)
        return into

    # Images

    def upload(self, *files: File, collection: str | None = None, folder: str = "") -> Document:
        """Send pictures, to be indexed later: `{"images": [...], "refused": [...]}`.

        The last part of `folder` becomes their album. Many or large ones go in several requests.
        ApiError when no picture is taken.
        """
        fields = {"folder": folder} | ({} if collection is None else {"collection": collection})
        result: Document = {"images": [], "refused": []}
        first: ApiError | None = None
        waiting = forms(files)
        while waiting:
            form = waiting.pop(0)
            try:
                answer = self._upload_form(form, fields)
            except ApiError as problem:
                if problem.code not in PICTURE_CODES:
                    raise
                first = first or problem
                if len(form) > 1:  # the refusal is about one of them: find out which
                    half = len(form) // 2
                    waiting[:0] = [form[:half], form[half:]]
                    continue
                refusal = {"filename": name_of(form[0]), "code": problem.code}
                answer = {"images": [], "refused": [{**refusal, "detail": str(problem)}]}
            for name, documents in result.items():
                documents += answer[name]
        if first is not None and not result["images"]:
            raise first
        return result

    def _upload_form(self, form: Sequence[File], fields: dict[str, str]) -> Document:
        with as_parts(form) as parts:
            files = [("file", part) for part in parts]
            return self._server.document("POST", "/v1/images", files=files, data=fields)

    def wait(self, image_ids: Sequence[int], *, seconds: float = 600.0) -> list[Document]:
        """The images, once all are indexed or refused; TimeoutError when that takes longer."""
        until = time.monotonic() + seconds
        while True:
            images = [self.image(image_id) for image_id in image_ids]
            if all(image["state"] not in {"pending", "running"} for image in images):
                return images
            if time.monotonic() > until:
                raise TimeoutError(f"Images still wait after {seconds:g} seconds.")
            time.sleep(POLL_SECONDS)

    def images(
        self, *, state: str | None = None, collection: str | None = None, page: int = 100
    ) -> Iterator[Document]:
        """Every image by ascending id, fetched a page at a time."""
        given = {"state": state, "collection": collection}
        params = {name: value for name, value in given.items() if value is not None}
        after: int | None = 0
        while after is not None:
            position = {**params, "after": after, "limit": page}
            answer = self._server.document("GET", "/v1/images", params=position)
            yield from answer["images"]
            after = answer["next_after"]

    def image(self, image_id: int) -> Document:
        """One image."""
        return self._server.document("GET", f"/v1/images/{image_id}")

    def tag(
        self, image_id: int, *, add: Sequence[str] = (), remove: Sequence[str] = ()
    ) -> Document:
        """Add tags to an image and remove others; the image with its new tags."""
        change = {"add": list(add), "remove": list(remove)}
        return self._server.document("POST", f"/v1/images/{image_id}/tags", json=change)

    def retry(self, image_ids: Sequence[int] | None = None) -> int:
        """Let images wait again that failed or were quarantined, these or all; how many do."""
        chosen = None if image_ids is None else list(image_ids)
        answer = self._server.document("POST", "/v1/images/retry", json={"image_ids": chosen})
        return int(answer["changed"])

    def delete_image(self, image_id: int) -> None:
        """Forget an image; its file is deleted if it was uploaded."""
        self._server.send("DELETE", f"/v1/images/{image_id}")

    def segments(self, image_id: int) -> list[Document]:
        """All segments of an image."""
        return self._server.documents(f"/v1/images/{image_id}/segments", "segments")

    def text_of(self, image_id: int) -> Document:
        """The lines of text in an image, and the elements of a page."""
        return self._server.document("GET", f"/v1/images/{image_id}/text")

    def thumbnail(self, image_id: int, side: int = 480) -> bytes:
        """A small JPEG, its longer side `side` pixels."""
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
        """The mask over the whole picture as PNG: 255 inside, 0 outside."""
        return self._server.bytes_of(f"/v1/segments/{segment_id}/mask.png")

    def cutout(self, segment_id: int) -> bytes:
        """The region alone as PNG; the mask is the alpha channel."""
        return self._server.bytes_of(f"/v1/segments/{segment_id}/cutout.png")

    def crop(self, segment_id: int, margin: float = 0.15) -> bytes:
        """The square around the region as PNG."""
        return self._server.bytes_of(f"/v1/segments/{segment_id}/crop.png", margin=margin)

    def overlay(self, segment_id: int, side: int = 1024) -> bytes:
        """The whole picture as PNG with the region marked."""
        return self._server.bytes_of(f"/v1/segments/{segment_id}/overlay.png", side=side)

    # Collections

    def collections(self) -> list[Document]:
        """All collections by name."""
        return self._server.documents("/v1/collections", "collections")

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
        """Add images; how many were not in it before."""
        return self._change(f"{_collection(name)}/images", image_ids)

    def take_from_collection(self, name: str, image_ids: Sequence[int]) -> int:
        """Take images out; how many were in it."""
        return self._change(f"{_collection(name)}/images/remove", image_ids)

    # The library and its server

    def jobs(self, *, before: int | None = None, limit: int = 50) -> list[Document]:
        """Runs that fill the library, newest first; `before` an id, for the next page."""
        params = {"limit": limit, **({} if before is None else {"before": before})}
        return self._server.documents("/v1/jobs", "jobs", **params)

    def job(self, job_id: int) -> Document:
        """One run."""
        return self._server.document("GET", f"/v1/jobs/{job_id}")

    def cancel_job(self, job_id: int) -> Document:
        """Ask a run to stop between two pictures; workers pause until `resume_jobs`."""
        return self._server.document("POST", f"/v1/jobs/{job_id}/cancel")

    def resume_jobs(self) -> None:
        """Let workers go on that pause since a run was cancelled."""
        self._server.send("POST", "/v1/jobs/resume")

    def skipped(self, job_id: int, *, page: int = 100) -> Iterator[Document]:
        """Every file that a run passed over, with its reason, fetched a page at a time."""
        after: int | None = 0
        while after is not None:
            position = {"after": after, "limit": page}
            answer = self._server.document("GET", f"/v1/jobs/{job_id}/skipped", params=position)
            yield from answer["skipped"]
            after = answer["next_after"]

    def job_events(self) -> Events[list[Document]]:
        """The running jobs, now and after each change, until the caller stops or closes it."""
        return Events(self._server, "/v1/jobs/events", lambda data: json.loads(data)["jobs"])

    def status(self) -> Document:
        """Counts of the library, and its running jobs."""
        return self._server.document("GET", "/v1/status")

    def stats(self) -> Document:
        """Counts by state, format and size."""
        return self._server.document("GET", "/v1/stats")

    def models(self) -> Document:
        """The models in use, and the presets."""
        return self._server.document("GET", "/v1/models")

    def session(self) -> Document:
        """What this client's key allows: `scope`, the key's name as `key`, `needs_key`."""
        return self._server.document("GET", "/v1/session")

    def api_keys(self) -> list[Document]:
        """Every API key that was made, without its secret text."""
        return self._server.documents("/v1/keys", "keys")

    def create_key(self, name: str, scope: Literal["read", "write", "admin"] = "read") -> Document:
        """Make an API key; `key` is its secret text, which is given only here."""
        return self._server.document("POST", "/v1/keys", json={"name": name, "scope": scope})

    def revoke_key(self, key_id: str) -> Document:
        """End an API key."""
        return self._server.document("DELETE", f"/v1/keys/{quote(key_id, safe='')}")

    def metrics(self) -> str:
        """The server's measurements, in the text format of Prometheus."""
        return self._server.send("GET", "/metrics").text

    def is_alive(self) -> bool:
        """Whether the server answers."""
        return self._server.says_ok("/healthz")

    def is_ready(self) -> bool:
        """Whether the server's models are in memory."""
        return self._server.says_ok("/readyz")

    def _change(self, path: str, image_ids: Sequence[int]) -> int:
        answer = self._server.document("POST", path, json={"image_ids": list(image_ids)})
        return int(answer["changed"])


def _collection(name: str) -> str:
    if not name:  # its address would be that of all collections
        raise InputError("A collection's name is empty.")
    return f"/v1/collections/{quote(name, safe='')}"
