"""Decoding changes nothing that belongs to the whole process: warnings, and Pillow's limit."""

from __future__ import annotations

import io
import struct
import subprocess
import sys
import threading
import warnings
import zlib
from pathlib import Path

import pytest
from PIL import Image

from segsearch.core.errors import PictureTooLargeError
from segsearch.media.decode import Limits, decode, decode_small, inspect
from segsearch.models.checkpoint import read_weights

WIDE, HIGH = 20_000, 10_000  # 200 million pixels: more than Pillow opens by itself


def odd_jpeg() -> bytes:
    """A JPEG whose EXIF block is cut, of which Pillow warns."""
    made = io.BytesIO()
    exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x09" + b"\x01\x12\0\x03\0\0\xff\xff\0\0\xff\xff" * 2
    Image.new("RGB", (40, 30), "red").save(made, "JPEG", exif=exif)
    return made.getvalue()


def png_of(width: int, height: int) -> bytes:
    """A PNG's header of that size, and too few pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        crc = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + crc

    head = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    rest = chunk(b"IDAT", zlib.compress(bytes(10))) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + rest


def test_decoding_in_threads_leaves_warnings_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("the filters of the whole process are changed")

    data = odd_jpeg()
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        before = list(warnings.filters)
        monkeypatch.setattr(warnings, "catch_warnings", refuse)
        done: list[int] = []

        def look() -> None:
            for _ in range(20):
                decode(data)
                decode_small(data, 16)
                inspect(data)
                warnings.warn("of another thread", stacklevel=1)
                done.append(1)

        threads = [threading.Thread(target=look) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        after = list(warnings.filters)
    assert len(done) == 80
    assert after == before
    heard = [str(warning.message) for warning in told]
    assert heard.count("of another thread") == 80
    assert len(heard) > 80  # Pillow's own are heard as well: who decodes may want to know


def test_weights_are_read_without_a_change_of_warnings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    torch.save({"a": torch.zeros(2)}, tmp_path / "a.pt")
    monkeypatch.delattr(warnings, "catch_warnings")
    assert set(read_weights(tmp_path / "a.pt")) == {"a"}


def test_pillows_limit_is_neither_changed_nor_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    info = inspect(png_of(WIDE, HIGH), Limits(max_pixels=WIDE * HIGH))
    assert (info.width, info.height) == (WIDE, HIGH)
    assert decode(odd_jpeg(), Limits(max_pixels=1_000_000_000))[0].shape == (30, 40, 3)
    with pytest.raises(PictureTooLargeError, match="SEGSEARCH_MAX_PIXELS"):
        inspect(png_of(WIDE, HIGH), Limits(max_pixels=WIDE * HIGH - 1))
    assert Image.MAX_IMAGE_PIXELS == 100


def test_the_command_says_nothing_of_pillows_warnings(tmp_path: Path) -> None:
    (tmp_path / "odd.jpg").write_bytes(odd_jpeg())
    command = [sys.executable, "-m", "segsearch", "--library", str(tmp_path / "library"), "index"]
    done = subprocess.run([*command, str(tmp_path)], capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    assert "Warning" not in done.stderr
