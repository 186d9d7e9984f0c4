"""Perceptual hashes: near for the same picture in another guise, far for another picture."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from segsearch.core.arrays import Pixels
from segsearch.media.decode import decode
from segsearch.media.phash import BANDS, HASH_BITS, NEAR_BITS, bands, distance, perceptual_hash
from tests.conftest import DEMO

PICTURES = sorted((DEMO / "pictures").glob("photo-*.jpg"))


def pixels_of(number: int) -> Pixels:
    return decode(PICTURES[number].read_bytes())[0]


def hash_of(picture: Image.Image) -> str:
    value = perceptual_hash(np.asarray(picture))
    assert value is not None
    return value


@pytest.mark.parametrize("number", range(len(PICTURES)))
def test_a_copy_in_another_size_and_quality_is_near(number: int) -> None:
    picture = Image.fromarray(pixels_of(number))
    buffer = io.BytesIO()
    picture.resize((picture.width * 2 // 3, picture.height * 2 // 3)).save(
        buffer, "JPEG", quality=60
    )
    again = Image.open(buffer)
    assert distance(hash_of(picture), hash_of(again)) <= NEAR_BITS


def test_different_pictures_are_far() -> None:
    hashes = [hash_of(Image.fromarray(pixels_of(number))) for number in range(len(PICTURES))]
    apart = [
        distance(one, other)
        for at, one in enumerate(hashes)
        for other in hashes[:at]
        if "-small" not in PICTURES[at].name
    ]
    assert np.median(apart) > 40


def test_plain_pictures_have_none() -> None:
    assert perceptual_hash(np.full((50, 60, 3), 130, np.uint8)) is None
    assert perceptual_hash(np.zeros((1, 1, 3), np.uint8)) is None


HASHES = st.integers(0, 2**HASH_BITS - 1)


@given(HASHES, st.sets(st.integers(0, HASH_BITS - 1), max_size=NEAR_BITS))
def test_near_hashes_share_a_band(value: int, flipped: set[int]) -> None:
    other = value ^ sum(1 << bit for bit in flipped)
    first, second = f"{value:032x}", f"{other:032x}"
    assert distance(first, second) == len(flipped)
    assert len(bands(first)) == BANDS
    assert any(a == b for a, b in zip(bands(first), bands(second), strict=True))
