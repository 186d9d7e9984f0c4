"""`segsearch mcp`: the library as tools for an assistant, over standard input and output."""

from __future__ import annotations

import importlib.util

import typer

from segsearch.errors import InputError


def mcp(context: typer.Context) -> None:
    """Offer the library to an assistant over the Model Context Protocol, until it hangs up.

    Needs the `mcp` extra. An assistant starts this itself: tell it the command
    `segsearch --library DIR mcp`.
    """
    if importlib.util.find_spec("mcp") is None:
        raise InputError("The package mcp is missing: install segsearch with the extra 'mcp'.")
    from segsearch.assistant import create_server
    from segsearch.wiring import open_service

    with open_service(context.obj) as service:
        service.warm()
        create_server(service).run("stdio")
