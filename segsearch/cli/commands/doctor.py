"""`segsearch doctor`: what this installation and this library need, in one look."""

from __future__ import annotations

import json
import os
import platform
import sys
from dataclasses import asdict
from importlib import metadata
from typing import TYPE_CHECKING, Annotated, Any

import typer

from segsearch.cli.options import AsJson
from segsearch.core.version import __version__

if TYPE_CHECKING:
    from segsearch.core.settings import Settings

PACKAGES = ("torch", "open_clip_torch", "segment-anything", "faiss-cpu", "faiss-gpu-cu12",
            "onnxruntime", "numpy", "pillow", "sqlalchemy", "fastapi")  # fmt: skip
LOW_RECALL = 0.95


def doctor(
    context: typer.Context,
    recall: Annotated[
        bool,
        typer.Option(
            "--recall",
            help="Ask the index a few hundred things and compare with a search of every region.",
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Say what is installed, which models are here, and how the library's index stands.

    `verify` checks that nothing is damaged; this one looks for what is missing or slow.
    """
    settings: Settings = context.obj
    report = _installation(settings) | _library(settings, with_recall=recall)
    report["advice"] += [
        f"Searches by {found['asked']} miss {1 - found['mean']:.0%} of what is there: have the "
        "index made anew by deleting the library's folder `index` and running `segsearch repair`."
        for found in report.get("recall", ())
        if found["mean"] < LOW_RECALL
    ]
    if as_json:
        print(json.dumps(report))
        return
    for name, value in report.items():
        if name not in ("recall", "advice"):
            print(f"{name + ':':12} {value}")
    for found in report.get("recall", ()):
        print(
            f"recall:      {found['mean']:.1%} of the ten best on average, {found['worst']:.0%} at "
            f"worst, of {found['queries']} searches by {found['asked']}"
        )
    print("\n".join(report["advice"]) or "Nothing is missing.")


def _installation(settings: Settings) -> dict[str, Any]:
    from segsearch.models.loading import advice_here, best_here

    versions = {}
    for name in PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return {
        "segsearch": __version__,
        "python": f"{platform.python_version()} on {sys.platform}, {os.cpu_count()} cores",
        "packages": ", ".join(f"{name} {version}" for name, version in versions.items()),
        "preset": best_here(settings).name,
        "advice": [advice_here(settings)],
    }


def _library(settings: Settings, *, with_recall: bool) -> dict[str, Any]:
    from segsearch.cli.output import way_of
    from segsearch.core.errors import LibraryMissingError
    from segsearch.library import open_library

    try:
        library = open_library(settings)
    except LibraryMissingError as problem:
        return {"library": str(problem)}
    with library:
        status = library.status()
        report: dict[str, Any] = {
            "library": f"{status.library}: {status.images:,} pictures, {status.segments:,} regions"
        }
        if not status.segments:
            return report
        index = library.index_state()
        how = f"{way_of(index.layout)} ({library.engine})"
        report["index"] = f"{index.rows:,} regions, {how}" + (
            "" if index.is_settled else "; the next `segsearch index` or `serve` puts it in order"
        )
        if with_recall:
            report["recall"] = [asdict(found) for found in library.recall()]
        return report
