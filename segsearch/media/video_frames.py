"""Turns decoded frames into upright sRGB arrays, as a player shows them.

Turned and mirrored by the display matrix, with square pixels, without comb of interlaced fields,
by the colours' matrix, range, primaries and transfer; alpha over white.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import av
import numpy as np
import numpy.typing as npt
from av.filter import Graph
from av.video.frame import VideoFrame
from av.video.reformatter import (
    ColorPrimaries,
    Colorspace,
    ColorTrc,
    Interpolation,
    VideoReformatter,
)

from segsearch.media import tone_mapping

Bytes = npt.NDArray[np.uint8]

MOST_ASPECT = 16  # of a pixel; more is a broken header
HD_PX = 720  # lines from which on colours that say nothing are those of BT.709
UNSPECIFIED = 2  # AVCOL_SPC_UNSPECIFIED
RGB = 0  # AVCOL_SPC_RGB
EXACT = Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT
MATRIX = struct.Struct("=9i")
WIDE = {
    ColorPrimaries.BT2020.value: tone_mapping.FROM_BT2020,
    ColorPrimaries.SMPTE431.value: tone_mapping.FROM_P3,
    ColorPrimaries.SMPTE432.value: tone_mapping.FROM_P3,
}
HIGH_RANGE = {
    ColorTrc.SMPTE2084.value: tone_mapping.from_pq,
    ColorTrc.ARIB_STD_B67.value: tone_mapping.from_hlg,
}


@dataclass(frozen=True, slots=True)
class Turn:
    """How stored rows and columns lie: first rows become columns, then the picture is mirrored
    from left to right, and from top to bottom."""

    is_transposed: bool = False
    mirrors_x: bool = False
    mirrors_y: bool = False

    def of(self, pixels: Bytes) -> Bytes:
        """The picture (H, W, 3) as it is shown."""
        if self.is_transposed:
            pixels = pixels.transpose(1, 0, 2)
        rows, columns = (
            slice(None, None, -1 if on else 1) for on in (self.mirrors_y, self.mirrors_x)
        )
        return np.ascontiguousarray(pixels[rows, columns])


def turn_of(frame: VideoFrame) -> Turn:
    """How a frame is turned and mirrored (FFmpeg's display matrix: x' = a x + c y, y' = b x + d y,
    rows of a, b, u; c, d, v; x, y, w)."""
    said: Any = frame.side_data.get("DISPLAYMATRIX")
    if said is None or len(data := bytes(said)) < MATRIX.size:
        return Turn()
    a, b, _, c, d, *_ = MATRIX.unpack(data[: MATRIX.size])
    if abs(b) + abs(c) > abs(a) + abs(d):
        return Turn(is_transposed=True, mirrors_x=c < 0, mirrors_y=b < 0)
    return Turn(mirrors_x=a < 0, mirrors_y=d < 0)


def stored_size(width: int, height: int, aspect: Fraction | None, side_px: int) -> tuple[int, int]:
    """Columns and rows, not yet turned, of a frame with square pixels whose longer side has
    `side_px` at most."""
    if aspect and aspect > 0 and Fraction(1, MOST_ASPECT) <= aspect <= MOST_ASPECT:
        wide = width * float(aspect)
    else:
        wide = float(width)
    scale = min(1.0, side_px / max(wide, height))
    return max(1, round(wide * scale)), max(1, round(height * scale))


class FrameDrawer:
    """Draws frames of one video at one size (columns, rows), not yet turned."""

    def __init__(self, size: tuple[int, int]) -> None:
        self._size = size
        self._scaler = VideoReformatter()

    def draw(self, frame: VideoFrame, turn: Turn | None = None) -> Bytes:
        """The frame as (H, W, 3) u8, upright sRGB; turned as it says itself where no turn is
        given."""
        turn = turn or turn_of(frame)
        transfer, primaries = int(frame.color_trc), int(frame.color_primaries)
        if frame.interlaced_frame and frame.height > 1:
            frame = one_field(frame)
        if transfer in HIGH_RANGE or primaries in WIDE:
            pixels = self._wide(frame, transfer, primaries)
        elif any(part.is_alpha for part in frame.format.components):
            pixels = _over_white(self._scaled(frame, "rgba"))
        else:
            pixels = self._scaled(frame, "rgb24")
        return turn.of(pixels)

    def bgr(self, frame: VideoFrame) -> Bytes:
        """The frame as (H, W, 3) u8, BGR, neither turned nor in exact colours."""
        pixels: Bytes = self._scaled(frame, "bgr24")
        return pixels

    def _scaled(self, frame: VideoFrame, layout: str) -> Any:
        width, height = self._size
        scaling = Interpolation.AREA if width * 2 <= frame.width else Interpolation.BICUBIC
        scaled = self._scaler.reformat(
            frame,
            width,
            height,
            layout,
            src_colorspace=_matrix(frame),
            interpolation=int(scaling | EXACT),
            threads=1,
        )
        return scaled.to_ndarray()

    def _wide(self, frame: VideoFrame, transfer: int, primaries: int) -> Bytes:
        signal = self._scaled(frame, "rgb48le").astype(np.float32) / 65535
        light = HIGH_RANGE.get(transfer, tone_mapping.from_srgb)(signal)
        if transfer in HIGH_RANGE:
            light = tone_mapping.compressed(light)
        return tone_mapping.to_srgb(light @ WIDE.get(primaries, np.eye(3, dtype=np.float32)).T)


def _matrix(frame: VideoFrame) -> int | None:
    """The matrix of a frame's colours where it does not say one; None where it does."""
    if int(frame.colorspace) != UNSPECIFIED or frame.format.is_rgb:
        return None
    matrix = Colorspace.ITU709 if frame.height >= HD_PX else Colorspace.ITU601
    return int(matrix)


def _over_white(pixels: Bytes) -> Bytes:
    """(H, W, 4) RGBA over white as (H, W, 3)."""
    alpha = pixels[..., 3:].astype(np.uint16)
    colour = pixels[..., :3] * alpha + 255 * (255 - alpha)
    return ((colour + 127) // 255).astype(np.uint8)


def one_field(frame: VideoFrame) -> VideoFrame:
    """An interlaced frame as it was at its first moment: the other field's lines are interpolated
    along edges (FFmpeg's `estdif`). The frame itself where that cannot be done."""
    graph = Graph()
    try:
        source = graph.add_buffer(
            width=frame.width, height=frame.height, format=frame.format,
            time_base=Fraction(1, 25),
        )  # fmt: skip
        lines = graph.add("estdif", "mode=frame:deint=interlaced")
        source.link_to(lines)
        lines.link_to(sink := graph.add("buffersink"))
        graph.configure()
        source.push(frame)
        source.push(None)
        drawn = sink.pull()
    except (av.FFmpegError, ValueError):
        return frame
    return drawn if isinstance(drawn, VideoFrame) else frame
