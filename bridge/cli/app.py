"""The command tree."""

from __future__ import annotations

import os
import sys
from typing import NoReturn

import typer

from .console import EXIT_USAGE

app = typer.Typer(
    name="driftbridge",
    help="Convert PyTorch models to every mobile format, and measure drift layer by layer.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def main() -> NoReturn:
    """Run the command line; wrong usage exits with 64."""
    from . import commands

    commands.register(app)
    try:
        code = app(standalone_mode=False)
    except typer.Exit as exit_:
        code = exit_.exit_code
    except Exception as error:
        if not hasattr(error, "format_message"):
            raise
        error.show()  # type: ignore[attr-defined]
        code = EXIT_USAGE
    _leave(code or 0)


def _leave(code: int) -> NoReturn:
    """End the process at once: to take a captured model apart object by object takes a second.

    Nothing waits for it: worker processes and scratch folders ended with the command.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
