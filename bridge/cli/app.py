"""The command tree."""

from __future__ import annotations

import sys

import typer

from .console import EXIT_USAGE

app = typer.Typer(
    name="driftbridge",
    help="Convert PyTorch models to every mobile format, and measure drift layer by layer.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def main() -> None:
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
    sys.exit(code or 0)
