"""Writes the photographs of the demo: odd shapes and sizes, from scikit-image's own data.

python -m training.data.demo_photographs
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import ExifTags, Image
from skimage import data

FOLDER = Path(__file__).parents[2] / "segsearch" / "cli" / "demo" / "pictures"
LICENCE = """\
# The pictures of this folder

Scenes (`scene-*.jpg`) are composed by `training/data/make_demo.py` from Twemoji graphics,
copyright 2014-2023 Twitter, Inc and other contributors, licensed under CC BY 4.0
(https://creativecommons.org/licenses/by/4.0/). They were scaled, turned, shaded and laid over
backgrounds.

Photographs, from scikit-image's data:

| file | picture | by | licence |
|---|---|---|---|
| `photo-cat*.jpg` | Chelsea | Stefan van der Walt | CC0 |
| `photo-coffee*.jpg` | coffee | Rachel Michetti | CC0 |
| `photo-astronaut.jpg` | Eileen Collins | NASA | public domain |
| `photo-rocket*.jpg` | a launch of Falcon 9 | SpaceX | public domain |
"""


def main() -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    cat, coffee = Image.fromarray(data.chelsea()), Image.fromarray(data.coffee())
    rocket, astronaut = Image.fromarray(data.rocket()), Image.fromarray(data.astronaut())
    turned = Image.Exif()
    turned[ExifTags.Base.Orientation] = 6  # stored lying on its side, shown upright
    save(cat, "photo-cat")
    save(cat.transpose(Image.Transpose.ROTATE_90), "photo-cat-turned", exif=turned)
    save(coffee, "photo-coffee")
    save(coffee.convert("L").resize((240, 160)), "photo-coffee-small-grey")
    save(astronaut, "photo-astronaut")
    save(rocket, "photo-rocket")
    save(rocket.crop((rocket.width // 2 - 60, 0, rocket.width // 2 + 60, rocket.height)),
         "photo-rocket-strip")  # fmt: skip
    save(Image.fromarray(np.concatenate((data.coffee()[:300], data.coffee()[:300, ::-1]), axis=1)),
         "photo-coffee-wide")  # fmt: skip
    (FOLDER.parent / "NOTICE.md").write_text(LICENCE)


def save(picture: Image.Image, name: str, exif: Image.Exif | None = None) -> None:
    """A JPEG of good quality; an EXIF block only where one is given."""
    extra = {"exif": exif} if exif is not None else {}
    picture.save(FOLDER / f"{name}.jpg", "JPEG", quality=88, **extra)


if __name__ == "__main__":
    main()
