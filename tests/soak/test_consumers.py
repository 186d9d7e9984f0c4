"""A COCO file with polygons is read whole by the tools that annotate and train, and none of them
writes beside the pictures.

`make soak` runs it, `make test` does not: the tools want other versions of what is installed here,
so it installs each into a folder of its own below SOAK_TOOLS.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from segsearch.export.coco import write_coco
from tests.support.small_models import Shape, open_small_service, paint

TOOLS = Path(os.environ.get("SOAK_TOOLS", "/nowhere"))
# Each prints, for every picture it has read, its name without an ending and how many regions.
SCRIPTS = {
    "ultralytics": """
import sys, json, pathlib
from ultralytics.data.converter import convert_coco
coco, images, out = map(pathlib.Path, sys.argv[1:])
for segments in (False, True):
    convert_coco(coco.parent, out / str(segments), use_segments=segments, cls91to80=False)
    labels = out / str(segments) / "labels" / coco.stem
    files = sorted(labels.rglob("*.txt"))
    rows = {str(f.relative_to(labels).with_suffix("")): f.read_text().splitlines() for f in files}
    found = {name: len(lines) for name, lines in rows.items()}
    least = min(len(line.split()) for lines in rows.values() for line in lines)
    assert (least > 5) is segments, least
print(json.dumps(found))
""",
    "datumaro": """
import sys, json
from datumaro.plugins.data_formats.coco.base import CocoInstancesBase
coco, images, out = sys.argv[1:]
items = list(CocoInstancesBase(coco, subset="all"))
kinds = {type(a).__name__ for item in items for a in item.annotations}
assert "Polygon" in kinds, kinds
print(json.dumps({item.id: len({a.group for a in item.annotations}) for item in items}))
""",
    "label_studio_sdk": """
import sys, json, pathlib
from label_studio_sdk.converter.imports.coco import convert_coco_to_ls
coco, images, out = sys.argv[1:]
convert_coco_to_ls(coco, out + "/tasks.json", image_root_url="/data/local-files/?d=images")
found = {}
for task in json.loads(pathlib.Path(out, "tasks.json").read_text()):
    name = task["data"]["image"].partition("d=images/")[2]
    results = [one for one in task["annotations"][0]["result"] if one["type"] == "polygonlabels"]
    found[str(pathlib.Path(name).with_suffix(""))] = len(results)
print(json.dumps(found))
""",
    "fiftyone": """
import sys, json, pathlib
from fiftyone.utils.coco import COCODetectionDatasetImporter
coco, images, out = sys.argv[1:]
found = {}
importer = COCODetectionDatasetImporter(
    data_path=images, labels_path=coco, label_types=["segmentations"], include_id=True
)
with importer:  # no database is needed for it
    for path, size, labels in importer:
        name = str(pathlib.Path(path).relative_to(images).with_suffix(""))
        detections = labels["segmentations"].detections
        assert all(one.mask is not None for one in detections)
        found[name] = len(detections)
print(json.dumps(found))
""",
}  # fmt: skip


@pytest.mark.parametrize("tool", SCRIPTS)
def test_a_tool_reads_every_region_and_writes_nothing_beside_the_pictures(
    tool: str, tmp_path: Path
) -> None:
    if not (TOOLS / tool).is_dir():
        assert "SOAK_TOOLS" not in os.environ, f"{tool} is missing in {TOOLS}"
        pytest.skip(f"{tool} is not installed: run `make soak`")
    images, out = tmp_path / "images", tmp_path / "out"
    coco = tmp_path / "annotations" / "all.json"  # as datumaro wants it
    both = [Shape("red", (10, 10, 40, 40)), Shape("blue", (60, 20, 100, 70), "disc")]
    paint(images / "both.png", both)
    paint(images / "in" / "red.png", [Shape("red", (50, 50, 90, 80))])
    coco.parent.mkdir()
    out.mkdir()
    with open_small_service(tmp_path / "library") as service:
        service.index([images])
        assert write_coco(service.select(), coco, polygons=True) == 3
    before = sorted(images.rglob("*"))
    script = [sys.executable, "-W", "ignore", "-c", SCRIPTS[tool], *map(str, (coco, images, out))]
    tools = {
        "PYTHONPATH": os.pathsep.join(
            filter(None, (str(TOOLS / tool), os.environ.get("PYTHONPATH")))
        )
    }
    quiet = {"YOLO_OFFLINE": "true", "YOLO_CONFIG_DIR": str(out), "FIFTYONE_DO_NOT_TRACK": "true"}
    run = subprocess.run(
        script, capture_output=True, text=True, check=False, env=os.environ | tools | quiet, cwd=out
    )
    assert run.returncode == 0, run.stderr
    assert json.loads(run.stdout.splitlines()[-1]) == {"both": 2, "in/red": 1}
    assert sorted(images.rglob("*")) == before
