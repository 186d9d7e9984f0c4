"""The command line: its commands, the options they share, and how errors end it.

Its help loads no more than what is imported here and at the top of the commands' modules.
"""

from __future__ import annotations

import errno
import io
import logging
import os
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer
import typer.core

from segsearch.cli.commands import keys, models
from segsearch.cli.commands.ask import ask
from segsearch.cli.commands.caption import caption
from segsearch.cli.commands.doctor import doctor
from segsearch.cli.commands.evaluate import evaluate
from segsearch.cli.commands.export import export
from segsearch.cli.commands.index import index, watch, worker
from segsearch.cli.commands.maintenance import backup, prune, repair, restore, status, verify
from segsearch.cli.commands.mcp import mcp
from segsearch.cli.commands.move import migrate_store
from segsearch.cli.commands.picture_text import show_text
from segsearch.cli.commands.pictures import remove, tag
from segsearch.cli.commands.presets import presets
from segsearch.cli.commands.ray_workers import ray_workers
from segsearch.cli.commands.region_map import make_map
from segsearch.cli.commands.scene import scene
from segsearch.cli.commands.search import search
from segsearch.cli.commands.serve import demo, serve
from segsearch.cli.commands.video_facts import show_video
from segsearch.cli.signals import INTERRUPTED
from segsearch.core.errors import DiskFullError, InputError, PathError, SegSearchError
from segsearch.core.version import __version__

if TYPE_CHECKING:
    from segsearch.core.settings import Settings

SHARED_OPTIONS = ("--library", "--preset")
SHARED_PREFIXES = tuple(f"{option}=" for option in SHARED_OPTIONS)


class Group(typer.core.TyperGroup):
    """Takes `SHARED_OPTIONS` after the command's name as well as before it."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Move them to the front; what follows `--` stays where it is."""
        end = args.index("--") if "--" in args else len(args)
        front: list[str] = []
        rest: list[str] = []
        words = iter(args[:end])
        for word in words:
            if word in SHARED_OPTIONS:
                value = next(words, None)
                if value is None:  # parsed alone, so that the message says what it lacks
                    return super().parse_args(ctx, [word])
                front += [word, value]
            else:
                (front if word.startswith(SHARED_PREFIXES) else rest).append(word)
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


def main() -> None:
    """Run the command line; an error of ours ends it with one sentence and its exit code."""
    _take_any_text()
    try:
        code = app(standalone_mode=False)  # returns the code of a typer.Exit
        print(end="", flush=True)  # what cannot be written must not end in success
        sys.exit(code if isinstance(code, int) else 0)
    except SegSearchError as problem:
        _say_error(str(problem))
        sys.exit(problem.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        sys.exit(INTERRUPTED)
    except OSError as problem:
        sys.exit(_system_error(problem))
    except Exception as problem:
        show = getattr(problem, "show", None)  # typer's own, for wrong options
        if show is None:
            raise
        show()
        sys.exit(getattr(problem, "exit_code", 2))


def _take_any_text() -> None:
    """Let standard output and error write what their encoding lacks as `\\xfc`: names of files in
    other languages, or bytes that are no text, must not end a command whose work is done."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _system_error(problem: OSError) -> int:
    """Say which path cannot be reached, or that the output takes no more; the exit code.

    Any other error of the system was not foreseen, and is raised again.
    """
    if problem.filename is not None and problem.errno in (errno.EACCES, errno.ENAMETOOLONG):
        _say_error(f"{str(problem.filename)!r} cannot be reached: {problem.strerror}.")
        return PathError.exit_code
    if problem.errno not in (errno.EPIPE, errno.ENOSPC, errno.EDQUOT):
        raise problem
    # Python would write the rest at its end, and fail once more.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    if problem.errno == errno.EPIPE:  # the reader left, as `head` does
        return 1
    _say_error(f"The output cannot be written: {problem.strerror}.")
    return DiskFullError.exit_code


def _say_error(text: str) -> None:
    from segsearch.cli.output import say_error

    say_error(text)


def _version(is_asked: bool) -> None:
    if is_asked:
        print(f"segsearch {__version__}")
        raise typer.Exit


@app.callback()
def options(
    context: typer.Context,
    library: Annotated[
        str | None,
        typer.Option(
            help="The library's folder, or the address of its PostgreSQL database "
            "[SEGSEARCH_LIBRARY]."
        ),
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
    from rich.console import Console
    from rich.logging import RichHandler

    given = {"library": library, "preset": preset}
    context.obj = settings_of({name: value for name, value in given.items() if value is not None})
    logging.basicConfig(
        level=logging.INFO if verbose else logging.WARNING,
        format="%(message)s",
        handlers=[RichHandler(console=Console(stderr=True), show_path=False)],
    )


def settings_of(given: dict[str, Any]) -> Settings:
    """Settings from options and the environment; InputError that names the wrong one."""
    from pydantic import ValidationError

    from segsearch.core.settings import Settings

    try:
        return Settings(**given)
    except ValidationError as problem:
        details = problem.errors()[0]
        name = "SEGSEARCH_" + "_".join(map(str, details["loc"])).upper()
        message = details["msg"].removeprefix("Value error, ")
        text = f"The setting {name} is wrong: {message}." if details["loc"] else message
        raise InputError(text) from problem


# In the order of the help: fill a library, search it, hand its regions on, look after it.
for command in (
    demo, index, worker, watch, search, scene, export, caption, ask, tag, remove, serve, mcp,
    status, verify, repair, doctor, prune, backup, restore, presets,
):  # fmt: skip
    app.command()(command)
app.command("eval")(evaluate)
app.command("map")(make_map)
app.command("text")(show_text)
app.command("video")(show_video)
app.command("ray")(ray_workers)
app.command("migrate-store")(migrate_store)
app.add_typer(models.app, name="models")
app.add_typer(keys.app, name="keys")
