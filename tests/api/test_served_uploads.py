"""From an upload to a mask, as a user meets it: `segsearch serve`, its worker, the client."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segsearch.client.sync import Client
from segsearch.masks.rle import from_coco, iou
from tests.api.test_server import serving
from tests.conftest import DEMO, Truth

pytestmark = pytest.mark.server


def test_an_uploaded_picture_is_indexed_found_cut_out_and_deleted(
    tmp_path: Path, truth: Truth
) -> None:
    name, things = next(iter(truth.things.items()))
    picture, mask = things[0]
    data = (DEMO / "pictures" / picture).read_bytes()
    with serving(tmp_path / "library") as (_, url), Client(url) as library:
        library.create_collection("mine")
        sent = library.upload(data, collection="mine")["images"][0]
        number = sent["image"]["image_id"]
        assert sent["image"]["state"] == "pending"
        (image,) = library.wait([number], seconds=300)
        assert image["state"] == "done", image["reason"]
        assert library.collection("mine")["images"] == 1
        assert library.jobs()[0]["done"] == 1
        hits = library.search(name, limit=5)["hits"]
        assert {hit["image_id"] for hit in hits} == {number}
        box = [float(side) for side in mask.box.as_tuple()]
        masks = library.segment(number, boxes=[box])["objects"][0]["masks"]
        assert max(iou(from_coco(one["mask"]), mask) for one in masks) > 0.5
        with Image.open(io.BytesIO(library.cutout(hits[0]["segment_id"]))) as cutout:
            alpha = np.asarray(cutout)[..., 3] > 0
        assert int(alpha.sum()) == hits[0]["area"]
        library.delete_image(number)
        assert library.search(name)["hits"] == []
        assert library.stats()["segments"] == 0
