"""What every command shares: where it prints, progress, and how an error becomes an exit code."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import FrameType
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

from ..errors import BridgeError, GateError, UsageError

EXIT_OK, EXIT_GATE, EXIT_CONVERSION, EXIT_USAGE, EXIT_INTERRUPTED = 0, 1, 2, 64, 130

_WIDTH_OF_FILES = 160

Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print errors only.")]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON on standard output.")]


@dataclass(frozen=True, kw_only=True)
class Terminal:
    """Where a command prints: results on standard output, progress and errors on standard error.

    Attributes:
        quiet: Whether only errors are printed.
        json: Whether the result is printed as JSON instead of tables.
    """

    quiet: bool = False
    json: bool = False
    out: Console = field(default_factory=lambda: Console(highlight=False, width=_width()))
    err: Console = field(default_factory=lambda: Console(stderr=True, highlight=False))

    def show(self, *renderables: Any) -> None:
        """Print tables or text for a person, unless JSON or silence was asked for."""
        if not self.quiet and not self.json:
            for each in renderables:
                self.out.print(each)

    def emit(self, document: Any) -> None:
        """Print a JSON document, if that was asked for."""
        if self.json:
            sys.stdout.write(json.dumps(document, indent=1, ensure_ascii=False) + "\n")

    def warn(self, text: str) -> None:
        """Print a warning on standard error."""
        if not self.quiet:
            self.complain(f"[yellow]warning:[/yellow] {escape(text)}")

    def complain(self, text: str) -> None:
        """Print on standard error, whatever was asked for; lines are not broken, to be copied."""
        self.err.print(text, soft_wrap=True)

    @contextlib.contextmanager
    def progress(self) -> Iterator[Callable[[str], None]]:
        """Show what is going on while the block runs.

        On a terminal one line changes in place, with a spinner; elsewhere each step is a line. An
        interruption that a library swallowed is raised again at the next step.
        """
        with _insistent_interruptions() as check:

            def step(show: Callable[[str], None], text: str) -> None:
                check()
                show(text)

            if self.quiet or self.json:
                yield lambda text: check()
            elif self.err.is_terminal:
                with self.err.status("starting") as status:
                    yield lambda text: step(status.update, escape(text))
            else:
                yield lambda text: step(self.complain, escape(text))


@contextlib.contextmanager
def _insistent_interruptions() -> Iterator[Callable[[], None]]:
    """Remember Ctrl-C; yields a function that raises ``KeyboardInterrupt`` if there was one.

    Python drops the exception where it arises in a destructor or a weak reference's callback, of
    which a capture has many.
    """
    interrupted = False

    def note(_signal: int, _frame: FrameType | None) -> None:
        nonlocal interrupted
        interrupted = True
        raise KeyboardInterrupt

    def check() -> None:
        if interrupted:
            raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield check
        return
    before = signal.signal(signal.SIGINT, note)
    try:
        yield check
    finally:
        signal.signal(signal.SIGINT, before)


def _width() -> int | None:
    """Wide enough for every table where nobody looks at the lines: in a pipe, a file, a CI log."""
    if sys.stdout.isatty() or "COLUMNS" in os.environ:
        return None
    return _WIDTH_OF_FILES


@contextlib.contextmanager
def errors_as_exit_codes(terminal: Terminal) -> Iterator[None]:
    """Print an error as the user should see it, and exit with its code."""
    try:
        yield
    except KeyboardInterrupt:
        terminal.complain("interrupted; earlier results are as they were")
        raise typer.Exit(EXIT_INTERRUPTED) from None
    except BridgeError as error:
        if error.user_traceback:
            terminal.complain(escape(error.user_traceback.rstrip()))
        terminal.complain(f"[red]error[/red] \\[{error.code}]: {escape(error.message)}")
        if error.where:
            terminal.complain(f"  at {escape(error.where)}")
        if error.hint:
            terminal.complain(f"  hint: {escape(error.hint)}")
        terminal.emit(
            {
                "error": {
                    "code": error.code,
                    "message": error.message,
                    "where": error.where,
                    "hint": error.hint,
                }
            }
        )
        codes = ((UsageError, EXIT_USAGE), (GateError, EXIT_GATE), (BridgeError, EXIT_CONVERSION))
        raise typer.Exit(next(code for kind, code in codes if isinstance(error, kind))) from None
