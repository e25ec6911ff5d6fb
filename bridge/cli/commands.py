"""Which file holds which command."""

from __future__ import annotations

import typer

from .android import android
from .blame import blame
from .convert import convert
from .diff import diff
from .doctor import doctor
from .inspect import inspect
from .lowerings import lowerings
from .report import report
from .routes import routes
from .toolchain import toolchain_app
from .validate import validate


def register(app: typer.Typer) -> None:
    """Add every command to the application."""
    commands = (
        convert,
        validate,
        blame,
        report,
        diff,
        android,
        routes,
        inspect,
        lowerings,
        doctor,
    )
    for command in commands:
        app.command()(command)
    app.add_typer(toolchain_app)
