"""Composes the clip of the demo: `python -m benchmarks.video.demo_clip`; the same clip every time.

Three shots with two drawings each, of those that the demo's pictures are painted with.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.video.frame import VideoFrame

from benchmarks.video.compose import ROOM, ComposedShot
from benchmarks.video.paths import CameraPath, ThingPath
from benchmarks.video.things import Actor
from segsearch.cli.demo.run import VIDEOS
from segsearch.core.arrays import Pixels
from training.data.fetch import HELD_OUT, fetch, parser
from training.data.make_demo import finely_drawn
from training.data.render import load_drawings

RATE = 20
SIZE = (360, 640)
HORIZON = 0.62  # of a ground's height
# Colours of the sky, far and near, and of the ground; then each thing with its side and from where
# to where its middle moves, as shares of the frame's longer side.
SHOTS = (
    (
        ((150, 205, 240), (225, 240, 250), (70, 130, 180)),
        ("sailboat", 0.3, (-0.36, 0.05), (0.3, 0.07)),
        ("palm tree", 0.36, (0.3, 0.03), (0.3, 0.03)),
    ),
    (
        ((235, 190, 150), (250, 230, 200), (205, 225, 240)),
        ("penguin", 0.28, (-0.34, 0.1), (0.14, 0.1)),
        ("snowman", 0.34, (0.33, 0.06), (0.33, 0.06)),
    ),
    (
        ((120, 170, 220), (200, 225, 240), (120, 165, 95)),
        ("castle", 0.4, (-0.22, 0.05), (-0.22, 0.05)),
        ("helicopter", 0.26, (-0.2, -0.16), (0.32, -0.04)),
    ),
)
SHOT_FRAMES = 72


def painted_ground(colours: Sequence[tuple[int, int, int]]) -> Pixels:
    """Sky over ground, (H, W, 3) u8, larger than a frame."""
    height, width = (int(extent * ROOM) for extent in SIZE)
    far, near, below = (np.array(colour, float) for colour in colours)
    rows = np.linspace(0, 1, height)[:, None]
    sky = far + (near - far) * np.minimum(rows / HORIZON, 1)
    painted = np.where(rows < HORIZON, sky, below * (1.1 - 0.4 * (rows - HORIZON)))
    return np.repeat(np.clip(painted, 0, 255).astype(np.uint8)[:, None], width, 1)


def compose(cache: Path, path: Path) -> Path:
    """Write the clip."""
    drawings = finely_drawn(load_drawings(cache, styles=(HELD_OUT,)))
    path.parent.mkdir(parents=True, exist_ok=True)
    number = 0
    with av.open(str(path), "w", options={"movflags": "faststart"}) as container:
        options = {"crf": "27", "preset": "veryslow", "g": "60"}
        stream = container.add_stream("libx264", rate=RATE, options=options)
        stream.height, stream.width = SIZE
        stream.pix_fmt = "yuv420p"
        for colours, *rows in SHOTS:
            things = [
                (
                    Actor(str(name), "drawing", drawings.picture(str(name), HELD_OUT)),
                    ThingPath(((0, *start, side, -4), (1, *end, side, 4)), 0.5),
                    "drifts",
                )
                for name, side, start, end in rows
            ]
            ground = painted_ground(colours)
            camera = CameraPath((-0.05, 0, 1), (0.05, 0, 1.05))
            shot = ComposedShot(ground, (), camera, tuple(things), SHOT_FRAMES, 0, 0)
            for step in range(SHOT_FRAMES):
                pixels = (np.clip(shot.paint(step)[0], 0, 1) * 255 + 0.5).astype(np.uint8)
                frame = VideoFrame.from_ndarray(pixels, "rgb24")
                frame.pts, frame.time_base = number, Fraction(1, RATE)
                container.mux(stream.encode(frame))
                number += 1
        container.mux(stream.encode())
    return path


def main() -> None:
    """Command line."""
    chosen = parser(__doc__).parse_args()
    fetch(chosen.cache)
    print(compose(chosen.cache, VIDEOS / "parade.mp4"))


if __name__ == "__main__":
    main()
