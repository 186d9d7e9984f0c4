"""Some pictures of the demo's library as a library of their own: no model is asked again."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path

from segsearch.core.settings import Settings
from segsearch.library import SegSearch, open_library


def part_of_demo(demo_library: SegSearch, folder: Path, names: Iterable[str]) -> Settings:
    """Copy the library into a folder and remove all pictures but those of some file names."""
    kept = set(names)
    settings = Settings(library=shutil.copytree(demo_library.settings.library, folder))
    with open_library(settings) as service:
        images = {Path(one.paths[0]).name: one.id for one in service.catalog.images(limit=1000)}
        assert kept <= images.keys()
        service.remove(image_ids=[images[name] for name in images.keys() - kept])
        assert service.status().images == len(kept)
    return settings
