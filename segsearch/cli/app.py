"""The command line: arguments to the service, answers to text or JSON."""

from __future__ import annotations

import errno
import json
import logging
import os
import sys
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
import typer.core
from pydantic import ValidationError
from rich.console import Console
from rich.logging import RichHandler

from segsearch.core.version import __version__
from segsearch.cli.commands import keys, models
from segsearch.cli.commands.caption import caption
from segsearch.cli.commands.evaluate import evaluate
from segsearch.cli.commands.export import export
from segsearch.cli.commands.index import BackgroundWorker, index, watch, worker
from segsearch.cli.commands.maintenance import backup, prune, repair, restore, verify
from segsearch.cli.commands.mcp import mcp
from segsearch.cli.commands.presets import presets
from segsearch.cli.commands.scene import scene
from segsearch.cli.commands.search import search
from segsearch.cli.commands.tags import check_found, tag
from segsearch.cli.signals import INTERRUPTED, stopping
from segsearch.core.errors import DiskFullError, PathError, QueryError, SegSearchError
from segsearch.core.settings import Settings
from segsearch.core.types import MAX_ID

SERVE_POLL_SECONDS = 1.0  # who uploads a picture waits for it
EVERYWHERE = ("--library", "--preset")
EQUALS = tuple(f"{option}=" for option in EVERYWHERE)


class Group(typer.core.TyperGroup):
    """Takes the options of `EVERYWHERE` after the command's name as well as before it."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Move them to the front; what stands after `--` stays where it is."""
        end = args.index("--") if "--" in args else len(args)
        front: list[str] = []
        rest: list[str] = []
        words = iter(args[:end])
        for word in words:
            if word in EVERYWHERE:
                value = next(words, None)
                if value is None:  # alone, it is refused for what it lacks
                    return super().parse_args(ctx, [word])
                front += [word, value]
            else:
                (front if word.startswith(EQUALS) else rest).append(word)
        return super().parse_args(ctx, [*front, *rest, *args[end:]])


app = typer.Typer(
    name="segsearch",
    cls=Group,
    help="Search picture libraries by the things in the pictures.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
err = Console(stderr=True)

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]


def main() -> None:
    """Run the command line; errors of ours end in one sentence and the exit code of their kind."""
    try:
        code = app(standalone_mode=False)  # gives back the code of a typer.Exit
        print(end="", flush=True)  # what cannot be written must not end in success
        sys.exit(code if isinstance(code, int) else 0)
    except SegSearchError as problem:
        _say_error(str(problem))
        sys.exit(problem.exit_code)
    except ValidationError as problem:
        details = problem.errors()[0]
        name = "SEGSEARCH_" + "_".join(map(str, details["loc"])).upper()
        said = details["msg"].removeprefix("Value error, ")
        _say_error(f"The setting {name} is wrong: {said}." if details["loc"] else said)
        sys.exit(2)
    except (KeyboardInterrupt, typer.Abort):
        sys.exit(INTERRUPTED)
    except OSError as problem:
        sys.exit(_refused(problem))
    except Exception as problem:
        show = getattr(problem, "show", None)
        if show is None:
            raise
        show()
        sys.exit(getattr(problem, "exit_code", 2))


def _refused(problem: OSError) -> int:
    """Say which path the system lets nobody use, or that the output takes no more; the exit code.

    Any other error of the system is none that was foreseen, and is raised again.
    """
    if problem.filename is not None and problem.errno in (errno.EACCES, errno.ENAMETOOLONG):
        _say_error(f"{str(problem.filename)!r} cannot be reached: {problem.strerror}.")
        return PathError.exit_code
    if problem.errno not in (errno.EPIPE, errno.ENOSPC, errno.EDQUOT):
        raise problem
    # What is still to be written would be tried, and complained of, once more at the end.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    if problem.errno == errno.EPIPE:  # the reader left, as `head` does
        return 1
    _say_error(f"The output cannot be written: {problem.strerror}.")
    return DiskFullError.exit_code


def _say_error(text: str) -> None:
    err.print(f"segsearch: {text}", style="red", markup=False, highlight=False, soft_wrap=True)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"segsearch {__version__}")
        raise typer.Exit


@app.callback()
def options(
    context: typer.Context,
    library: Annotated[
        Path | None, typer.Option(help="The library's folder [SEGSEARCH_LIBRARY].")
    ] = None,
    preset: Annotated[
        str | None, typer.Option(help="Models and settings for a new library.")
    ] = None,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log what is done.")] = False,
    _version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Search picture libraries by the things in the pictures."""
    given: dict[str, Any] = {"library": library, "preset": preset}
    context.obj = Settings(**{name: value for name, value in given.items() if value is not None})
    logging.basicConfig(
        level=logging.INFO if verbose else logging.WARNING,
        format="%(message)s",
        handlers=[RichHandler(console=err, show_path=False)],
    )


@app.command()
def status(context: typer.Context, as_json: AsJson = False) -> None:
    """Say what the library holds."""
    from segsearch.cli.output import status_table
    from segsearch.library import open_library

    with open_library(context.obj) as service:
        found = service.status()
    if as_json:
        print(json.dumps(asdict(found)))
    else:
        status_table(Console(), found)


@app.command()
def remove(
    context: typer.Context,
    paths: Annotated[
        list[str] | None, typer.Argument(help="Pictures or folders to forget; files stay.")
    ] = None,
    image_id: Annotated[
        list[int] | None,
        typer.Option(
            min=1,
            max=MAX_ID,
            help="Ids of images to forget, under all their paths; files of uploads go.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Forget pictures with their segments and vectors; the files themselves are not touched.

    A picture named by a path stays while another path leads to it. --image-id forgets it whole,
    and deletes its file if it was uploaded.
    """
    from segsearch.library import open_library

    if not paths and not image_id:
        raise QueryError("Name what to remove: a path, or --image-id ID.")
    with open_library(context.obj) as service:
        lost = service.lacking(paths=paths or (), image_ids=image_id or ())
        removed = service.remove(paths=paths or (), image_ids=image_id or ())
    said = f"Removed {removed} images." if removed else "Forgot the paths; other paths lead there."
    print(json.dumps({"removed": removed}) if as_json else said)
    check_found(lost)


@app.command()
def serve(
    context: typer.Context,
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes a free one.")
    ] = None,
    insecure: Annotated[
        bool, typer.Option("--insecure", help="Let others in without an API key.")
    ] = False,
    with_worker: Annotated[
        bool, typer.Option("--worker/--no-worker", help="Index what waits, beside serving.")
    ] = True,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the address as JSON once it is bound.")
    ] = False,
) -> None:
    """Serve the HTTP API and the page until Ctrl-C; index what waits meanwhile."""
    from importlib import import_module

    from segsearch.library import open_library

    settings: Settings = context.obj
    server = import_module("segsearch_api.server")
    background = BackgroundWorker(settings, SERVE_POLL_SECONDS) if with_worker else nullcontext()
    with open_library(settings, create=True) as service, background:
        server.serve(
            service,
            settings.host if host is None else host,
            settings.port if port is None else port,
            insecure=insecure,
            announce=lambda url: print(
                json.dumps({"url": url}) if as_json else f"Serving {url} (Ctrl-C ends)",
                flush=True,
            ),
        )


@app.command()
def demo(
    context: typer.Context,
    serve_after: Annotated[
        bool, typer.Option("--serve/--no-serve", help="Serve the page when the searches are done.")
    ] = True,
) -> None:
    """Index the pictures that come with segsearch, run a few searches, and serve the page.

    `--library` picks the folder; without it, segsearch-demo.
    """
    from segsearch.cli.demo.run import run_demo
    from segsearch.library import open_library

    settings: Settings = context.obj
    if "library" not in settings.model_fields_set:
        context.obj = settings.model_copy(update={"library": Path("segsearch-demo")})
    with open_library(context.obj, create=True) as service, stopping() as stop:
        run_demo(service, Console(), stop)
    if stop.is_set():
        raise typer.Exit(INTERRUPTED)
    if serve_after:
        serve(context)


app.command()(search)
app.command()(scene)
app.command("eval")(evaluate)
app.command("caption")(caption)
app.command("export")(export)
app.command("mcp")(mcp)
app.command()(presets)
app.command()(tag)
app.add_typer(models.app, name="models")
app.add_typer(keys.app, name="keys")
for command in (index, worker, watch, verify, repair, prune, backup, restore):
    app.command()(command)
