"""`segsearch ask`: a question to a vision model about a region, or about a whole picture."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from segsearch.cli.image_names import BY_ID_OR_PATH, image_named, is_id
from segsearch.cli.options import AsJson, BaseUrl, ModelName
from segsearch.core.errors import QueryError

if TYPE_CHECKING:
    from segsearch.core.settings import Settings

USAGE = 'Expected `ask SEGMENT "QUESTION"`, or `ask --image ID` with or without a question'


def ask(
    context: typer.Context,
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[SEGMENT] [QUESTION]",
            help="A segment's id and what to ask about it; with --image the question alone.",
            show_default=False,
        ),
    ] = None,
    image: Annotated[
        str | None,
        typer.Option(
            help=f"Ask about a whole picture, {BY_ID_OR_PATH}; without a question, how the things "
            "in it lie."
        ),
    ] = None,
    keep: Annotated[
        bool,
        typer.Option(
            "--keep",
            help="Keep the answer as a caption of the segment, or of the one that covers the "
            "picture.",
        ),
    ] = False,
    base_url: BaseUrl = None,
    model: ModelName = None,
    timeout: Annotated[
        float, typer.Option(min=0.1, help="Seconds to wait for the answer, tries included.")
    ] = 120,
    as_json: AsJson = False,
) -> None:
    """Ask a vision model about a region, or about a whole picture; one request a question.

    The model is shown the region with its surroundings and outlined in its picture, and is told
    how others lie around it; of a whole picture, its regions outlined and numbered. The key comes
    from SEGSEARCH_CAPTION_KEY.
    """
    from segsearch.export.questions import HOW_THINGS_LIE, AnswerDocument, checked_question
    from segsearch.export.vision_chat import endpoint_of
    from segsearch.library import open_library

    segment_id, asked = _parsed(words or [], has_image=image is not None)
    question = checked_question(HOW_THINGS_LIE if asked is None else asked)
    settings: Settings = context.obj
    endpoint = endpoint_of(settings, base_url, model, timeout)
    with open_library(settings) as library:
        if segment_id is None:
            image_id = image_named(library, image or "")
            answer = library.questions.ask_picture(image_id, question, keep=keep, endpoint=endpoint)
        else:
            answer = library.questions.ask_region(
                segment_id, question, keep=keep, endpoint=endpoint
            )
    print(AnswerDocument.of(answer).model_dump_json() if as_json else answer.text)
    if keep and answer.kept_for is None:
        typer.echo("segsearch: Not kept: the region was removed meanwhile.", err=True)


def _parsed(words: list[str], *, has_image: bool) -> tuple[int | None, str | None]:
    """The segment's id, and the question where there is one; QueryError for anything else."""
    if has_image:
        if len(words) > 1:
            raise QueryError(f"{USAGE}; {words[0]!r} and {words[1]!r} are given with --image.")
        return None, words[0] if words else None
    if len(words) != 2:
        raise QueryError(f"{USAGE}; {len(words)} words are given: put the question in quotes.")
    if not is_id(words[0]):
        raise QueryError(f"{USAGE}; {words[0]!r} is no segment's id.")
    return int(words[0]), words[1]
