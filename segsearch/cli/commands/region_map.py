"""`segsearch map`: all regions in two dimensions, in clusters with the words nearest to them."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated

import typer

from segsearch.cli.options import AsJson


def make_map(
    context: typer.Context,
    collection: Annotated[
        str | None, typer.Option(help="Of this collection alone, instead of the whole library.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make the map of all regions anew: places in two dimensions, and clusters with their words.

    The page and `GET /v1/map` show it; it stays as it is while regions come and go.
    """
    from rich.console import Console

    from segsearch.cli.output import cluster_table, map_bar
    from segsearch.library import open_library

    with (
        open_library(context.obj) as library,
        map_bar(Console(stderr=True), quiet=as_json) as say,
    ):
        made = library.maps.make(collection, say)
    if as_json:
        clusters = [asdict(cluster) for cluster in made.clusters]
        counts = {"method": made.method, "regions": len(made.points), "made_at": made.made_at}
        print(json.dumps({**counts, "clusters": clusters}))
        return
    cluster_table(Console(), made)
