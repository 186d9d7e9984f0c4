"""Renders every drawing of every style to RGBA pixels by resvg, once, into one file a style."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from training.data.fetch import STYLES, parser
from training.data.things import DrawableThing, load_things

SIDE_PX = 256
RGBA = NDArray[np.uint8]  # (H, W, 4), straight alpha


@dataclass(frozen=True)
class Drawings:
    """All things and their pixels; `tables[style][rows[style][name]]` is (256, 256, 4) uint8."""

    things: dict[str, DrawableThing]
    tables: dict[str, NDArray[np.uint8]]
    rows: dict[str, dict[str, int]]

    def names(self, style: str) -> list[str]:
        """Names of the things that this style draws, sorted."""
        return sorted(self.rows[style])

    def picture(self, name: str, style: str) -> RGBA:
        """(256, 256, 4) uint8, straight alpha; KeyError when the style lacks the thing."""
        pixels: RGBA = self.tables[style][self.rows[style][name]]
        return pixels


def load_drawings(cache: Path, *, styles: tuple[str, ...] = tuple(STYLES)) -> Drawings:
    """Map the rendered files into memory, rendering the missing ones first."""
    things = load_things(cache)
    tables, rows = {}, {}
    for style in styles:
        drawn = {thing.name: thing.icons[style] for thing in things if style in thing.icons}
        path = cache / "rendered" / f"{style}.npy"
        names = path.with_suffix(".json")
        if not names.is_file() or json.loads(names.read_text("utf-8")) != list(drawn):
            _render_style(list(drawn.values()), path)
            names.write_text(json.dumps(list(drawn)), "utf-8")
        tables[style] = np.load(path, mmap_mode="r")
        rows[style] = {name: row for row, name in enumerate(drawn)}
    return Drawings({thing.name: thing for thing in things}, tables, rows)


def render_svg(svg: str, side_px: int = SIDE_PX) -> RGBA:
    """(side, side, 4) uint8 with straight alpha; a drawing that is not square is centred."""
    import resvg_py  # of the extra `training`; what is rendered already needs it no more

    encoded = bytes(resvg_py.svg_to_bytes(svg_string=svg, width=side_px, skip_system_fonts=True))
    picture = Image.open(io.BytesIO(encoded)).convert("RGBA")
    picture.thumbnail((side_px, side_px), Image.Resampling.LANCZOS)
    canvas = Image.new("RGBA", (side_px, side_px))
    canvas.paste(picture, ((side_px - picture.width) // 2, (side_px - picture.height) // 2))
    return np.asarray(canvas)


def _render_style(svgs: list[str], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    shape = (len(svgs), SIDE_PX, SIDE_PX, 4)
    table = np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=shape)
    for row, svg in enumerate(svgs):
        table[row] = render_svg(svg)
    table.flush()


def main() -> None:
    """Command line."""
    drawings = load_drawings(parser(__doc__).parse_args().cache)
    for style, rows in drawings.rows.items():
        print(f"{style}: {len(rows)} things")


if __name__ == "__main__":
    main()
