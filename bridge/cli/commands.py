"""Which file holds which command."""

from __future__ import annotations

import typer

from .blame import blame
from .convert import convert
from .doctor import doctor
from .inspect import inspect
from .lowerings import lowerings
from .routes import routes
from .toolchain import toolchain_app
from .validate import validate


def register(app: typer.Typer) -> None:
    """Add every command to the application."""
    for command in (convert, validate, blame, routes, inspect, lowerings, doctor):
        app.command()(command)
    app.add_typer(toolchain_app)
