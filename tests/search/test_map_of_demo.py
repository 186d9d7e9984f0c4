"""The map of the demo pictures: clusters carry the names of what lies in them, by what is true."""

from __future__ import annotations

import shutil
from pathlib import Path

from segsearch.core.settings import Settings
from segsearch.library import SegSearch, open_library
from segsearch.masks.rle import iou
from segsearch.search.naming import NAMES
from tests.conftest import Truth
from tests.support.mapped import make


def test_regions_lie_in_clusters_that_carry_their_names(
    demo_library: SegSearch, truth: Truth, tmp_path: Path
) -> None:
    library = tmp_path / "library"
    shutil.copytree(demo_library.settings.library, library)
    with open_library(Settings(library=library)) as service:
        made = make(service)
        assert made.method == "umap"
        assert 8 <= len(made.clusters) <= 60
        assert all(len(cluster.words) in {2, 3} for cluster in made.clusters)
        first = {cluster.words[0] for cluster in made.clusters}
        assert len(first) > len(made.clusters) / 2
        words = {cluster.cluster: cluster.words for cluster in made.clusters}
        sizes = {cluster.cluster: cluster.regions for cluster in made.clusters}
        cluster_of = dict(zip(made.points.ids.tolist(), made.points.cluster.tolist(), strict=True))
        named, chance = 0, 0.0
        paths = {image.id: Path(image.paths[0]).name for image in service.catalog.images()}
        for segment in service.catalog.segments():
            for name in set(NAMES) & set(truth.things):
                if any(
                    picture == paths[segment.image_id] and iou(mask, segment.mask) >= 0.5
                    for picture, mask in truth.things[name]
                ):
                    named += name in words[cluster_of[segment.id]]
                    chance += sum(sizes[n] for n in words if name in words[n]) / len(made.points)
    assert named >= 50  # of 284; 80 when this was written
    assert named > 5 * chance
