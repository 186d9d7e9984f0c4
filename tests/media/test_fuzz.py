"""Hostile bytes: decoding and run lengths give a value or one of our errors, soon and in bounds.

The settings make about a minute of it. A failure prints the bytes to reproduce it with.
"""

from __future__ import annotations

import resource
import sys
from collections.abc import Callable
from datetime import timedelta

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from segsearch.core.errors import InputError, PictureError
from segsearch.core.types import Box, Mask
from segsearch.masks.rle import decode as decode_mask
from segsearch.masks.rle import encode, from_coco, intersection, iou, to_coco
from segsearch.media.decode import Limits, decode
from segsearch.media.phash import perceptual_hash
from tests.support import zoo

pytestmark = pytest.mark.slow

LIMITS = Limits(max_bytes=1_000_000, max_pixels=1_000_000)
SMALL = Image.effect_noise((24, 16), 60).convert("RGB")
SEEDS: dict[str, Callable[[], bytes]] = {
    "jpeg": lambda: zoo.turned(6),
    "png": lambda: zoo.saved(SMALL, "PNG"),
    "webp": lambda: zoo.saved(SMALL, "WEBP"),
    "gif": lambda: zoo.saved(SMALL.quantize(16), "GIF"),
    "tiff": lambda: zoo.saved(SMALL, "TIFF", compression="tiff_lzw"),
    "tiff-planar-16": zoo.planar_16,
    "tiff-float": lambda: zoo.saved(
        Image.fromarray(np.asarray(SMALL.convert("L"), np.float32)),
        "TIFF",
        compression="tiff_lzw",
        tiffinfo={317: 3},
    ),
    "avif-exif": lambda: zoo.saved(SMALL, "AVIF", exif=zoo.camera_exif()),
    "bmp": lambda: zoo.saved(SMALL, "BMP"),
    "avif": lambda: zoo.saved(SMALL, "AVIF"),
    "heic": zoo.heic,
    "jpeg2000": lambda: zoo.saved(SMALL, "JPEG2000"),
    "cmyk": lambda: zoo.cmyk(icc_profile=zoo.cmyk_profile()),
    "grey-16": lambda: zoo.grey_16("PNG"),
    "dng": lambda: zoo.dng()[:6000],
}
FUZZ = settings(
    max_examples=400,
    deadline=timedelta(seconds=5),
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
KINDS = st.sampled_from(["set", "cut", "insert", "repeat"])
STARTS = st.sampled_from(
    [b"", b"\xff\xd8\xff", b"II*\0", b"RIFF", b"GIF89a", b"BM", b"\0\0\0\x18ftyp"]
)
EDITS = st.lists(
    st.tuples(st.floats(0, 1), KINDS, st.binary(max_size=8)),
    min_size=1,
    max_size=6,
)  # fmt: skip


def edited(data: bytes, edits: list[tuple[float, str, bytes]]) -> bytes:
    """The bytes with some overwritten, cut out, put in or doubled, at shares of the length."""
    for share, kind, part in edits:
        at = int(share * len(data))
        if kind == "set":
            data = data[:at] + part + data[at + len(part) :]
        elif kind == "cut":
            data = data[:at] + data[at + 1 + len(part) :]
        elif kind == "insert":
            data = data[:at] + part + data[at:]
        else:
            data = data[: at + 64] + data[at:]
    return data


def decode_or_refuse(data: bytes) -> None:
    """Upright RGB pixels within the limits, or a PictureError with one sentence."""
    try:
        pixels, info = decode(data, LIMITS)
    except PictureError as problem:
        reason = str(problem)
        assert reason.endswith(".")
        return
    assert pixels.dtype == np.uint8
    assert pixels.shape == (info.height, info.width, 3)
    assert 0 < info.width * info.height <= LIMITS.max_pixels
    assert 1 <= info.orientation <= 8
    perceptual_hash(pixels)


@pytest.fixture(scope="module", params=SEEDS)
def seed(request: pytest.FixtureRequest) -> bytes:
    return SEEDS[request.param]()


def test_damaged_pictures_are_decoded_or_refused(seed: bytes) -> None:
    @FUZZ
    @given(EDITS)
    def fuzz(edits: list[tuple[float, str, bytes]]) -> None:
        decode_or_refuse(edited(seed, edits))

    before = peak_bytes()
    fuzz()
    assert peak_bytes() - before < 400_000_000


@FUZZ
@given(STARTS, st.binary(max_size=400))
def test_rubbish_behind_a_true_beginning_is_refused(start: bytes, rest: bytes) -> None:
    decode_or_refuse(start + rest)


SIDES = st.one_of(st.integers(-2, 60), st.integers(0, 2**70), st.floats(), st.text(max_size=3))
COUNTS = st.one_of(
    st.binary(max_size=60),
    st.text(st.characters(min_codepoint=40, max_codepoint=120), max_size=60),
    st.lists(st.integers(-5, 4000), max_size=30),
    st.lists(st.integers(0, 2**66), max_size=4),
)


@FUZZ
@given(SIDES, SIDES, COUNTS)
def test_foreign_run_lengths_are_a_mask_or_refused(
    height: object, width: object, counts: object
) -> None:
    try:
        mask = from_coco({"size": [height, width], "counts": counts})
    except InputError:
        return
    assert int(decode_mask(mask).sum()) == mask.area > 0


@pytest.mark.parametrize(
    ("size", "counts"),
    [
        ([2**31, 2**31], [0, 2**62]),
        ([1, 2**40], [0, 2**40]),
        ([60_000, 60_000], [0, 3_600_000_000]),
        ([10, 10], "o" * 1_000_000),
        ([10, 10], "O0" * 1_000_000),
    ],
)
def test_run_lengths_cannot_ask_for_more_than_a_picture(size: list[int], counts: object) -> None:
    before = peak_bytes()
    with pytest.raises(InputError):
        from_coco({"size": size, "counts": counts})
    assert peak_bytes() - before < 300_000_000


@FUZZ
@given(st.integers(1, 40), st.integers(1, 40), st.randoms(use_true_random=False))
def test_any_mask_survives_its_encodings(height: int, width: int, random: object) -> None:
    rng = np.random.default_rng(random.getrandbits(32))  # type: ignore[attr-defined]  # a Random
    array = rng.random((height, width)) < rng.random()
    mask = encode(array)
    if mask is None:
        assert not array.any()
        return
    assert (decode_mask(mask) == array).all()
    assert from_coco(to_coco(mask)) == mask
    assert iou(mask, mask) == 1.0
    window = Mask(height, width, Box(0, 0, 1, 1), *_dot())
    assert intersection(mask, window) == int(array[0, 0])


def _dot() -> tuple[bytes, int]:
    dot = encode(np.ones((1, 1), dtype=bool))
    assert dot is not None
    return dot.counts, dot.area


def peak_bytes() -> int:
    """The most memory this process ever held; it never falls."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
