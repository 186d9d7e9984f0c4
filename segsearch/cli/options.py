"""Options and arguments that several commands have, each described once."""

from __future__ import annotations

from typing import Annotated

import typer

from segsearch.core.types import MAX_ID

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]
LISTED = 20  # skipped files or regions that are shown one by one
# What `export` and `caption` have in common: which regions they are about
Words = Annotated[str | None, typer.Argument(help="Words: regions that answer them.")]
Below = Annotated[
    list[str] | None, typer.Option("--under", help="Regions of pictures at or below a path.")
]
MostRegions = Annotated[
    int | None,
    typer.Option("--limit", max=MAX_ID, help="How many regions at most; of words 100 unless told."),
]
MostOfPicture = Annotated[
    int, typer.Option("--per-image", help="How many of one picture at most, of words.")
]
LeastRelevance = Annotated[
    float,
    typer.Option(
        "--min-relevance", help="Relevance the best region of words must reach; 0 takes all."
    ),
]
# What `caption` and `ask` have in common: whom they ask
BaseUrl = Annotated[
    str | None,
    typer.Option(
        help="OpenAI-compatible endpoint, such as http://localhost:8000/v1 [SEGSEARCH_CAPTION_URL]."
    ),
]
ModelName = Annotated[
    str | None,
    typer.Option("--model", help="The model's name at that endpoint [SEGSEARCH_CAPTION_MODEL]."),
]
# What `search` and `eval` have in common: how an answer is reranked, by the settings' endpoint
Rerank = Annotated[
    int | None,
    typer.Option(
        help="Have a vision model put the first so many regions of the answer in order, up to 100; "
        "each is a request to SEGSEARCH_CAPTION_URL, which may be billed."
    ),
]
RerankSeconds = Annotated[
    float, typer.Option("--rerank-seconds", help="How long reranking an answer may take.")
]
RerankMost = Annotated[
    int | None,
    typer.Option(
        "--rerank-most", help="Cost cap: requests at most that may be billed for reranking."
    ),
]
