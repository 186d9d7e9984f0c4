"""`segsearch mcp`: offers the library's tools to an assistant over standard input and output."""

from __future__ import annotations

import importlib.util

import typer

from segsearch.core.errors import InputError


def mcp(context: typer.Context) -> None:
    """Offer the library to an assistant (MCP).

    Needs the `mcp` extra. An assistant starts this itself, and ends it: tell it the command
    `segsearch --library DIR mcp`.
    """
    if importlib.util.find_spec("mcp") is None:
        raise InputError("The package mcp is missing: install segsearch with the extra 'mcp'.")
    from segsearch.library import open_library
    from segsearch_api.mcp import create_server

    with open_library(context.obj) as library:
        library.warm()
        create_server(library).run("stdio")
