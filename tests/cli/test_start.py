"""What a command loads before it answers: importing is most of what a short one costs."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx
import pytest

from segsearch.library import SegSearch
from segsearch.storage.announcement import announced, make_announcement
from segsearch_api.app import create_app
from segsearch_api.server import bind, make_server, url_of

pytestmark = pytest.mark.process

TORCH = {"torch", "torchvision", "open_clip", "transformers", "timm"}
NEVER = TORCH | {
    "fastapi", "fsspec", "huggingface_hub", "mcp", "onnx", "pandas", "pyarrow", "rawpy", "scipy",
    "starlette", "uvicorn",
}  # fmt: skip
LIBRARY = {"alembic", "cv2", "faiss", "numpy", "onnxruntime", "PIL", "pycocotools", "sqlalchemy"}
CODE = """
import sys
from segsearch.__main__ import main
try:
    main()
except SystemExit as ended:
    assert not ended.code, ended.code
print("LOADED", *(name for name in sys.modules if "." not in name))
"""


def loaded(*arguments: str | Path) -> set[str]:
    """The packages that a command has loaded when it ends in success."""
    command = [sys.executable, "-c", CODE, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    return set(done.stdout.rpartition("LOADED ")[2].split())


@pytest.fixture(scope="module")
def demo_folder(demo_library: SegSearch) -> Path:
    return demo_library.settings.library


def test_help_loads_nothing_of_a_library() -> None:
    for arguments in (["--help"], ["search", "--help"], ["--version"]):
        assert sorted(loaded(*arguments) & (NEVER | LIBRARY | {"httpx"})) == []


def test_status_loads_no_models(service: SegSearch) -> None:
    names = loaded("--library", service.settings.library, "status")
    assert "sqlalchemy" in names
    assert sorted(names & (NEVER | {"alembic", "onnxruntime", "tokenizers"})) == []


def test_words_load_no_torch(demo_folder: Path) -> None:
    names = loaded("--library", demo_folder, "search", "a cat")
    assert "onnxruntime" in names
    assert sorted(names & (NEVER | {"alembic"})) == []


def test_words_that_a_server_answers_load_nothing_of_a_library(service: SegSearch) -> None:
    with bind("127.0.0.1", 0) as listening:
        url = url_of("127.0.0.1", listening.getsockname()[1])
        announcement = make_announcement(url, service.settings.mix)
        server = make_server(create_app(service, announcement=announcement))
        thread = threading.Thread(target=server.run, args=[[listening]])
        thread.start()
        try:
            while httpx.get(f"{url}/readyz").status_code != 200:
                time.sleep(0.01)
            with announced(service.settings.library, announcement):
                names = loaded("--library", service.settings.library, "search", "red")
        finally:
            server.should_exit = True
            thread.join()
    assert "http" in names
    assert sorted(names & (NEVER | LIBRARY | {"httpx"})) == []
