"""``driftbridge android``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from .console import Json, Quiet, Terminal, errors_as_exit_codes
from .convert import Memory, Timeout, limits


def android(
    folder: Annotated[
        Path,
        typer.Argument(help="A folder that convert or validate --out made, with a TFLite file."),
    ],
    out: Annotated[
        Path | None, typer.Option(help="The bundle's folder.", show_default="DIR/android")
    ] = None,
    package: Annotated[
        str, typer.Option(help="Package of the Kotlin classes.")
    ] = "com.example.model",
    labels: Annotated[
        Path | None, typer.Option(help="Names of an output's entries, one a line.")
    ] = None,
    mean: Annotated[
        str | None,
        typer.Option(help="What is subtracted from pixels of 0 to 255: one, or one per channel."),
    ] = None,
    std: Annotated[
        str | None, typer.Option(help="What pixels are then divided by: one, or one per channel.")
    ] = None,
    samples: Annotated[int, typer.Option(help="Number of golden samples.", min=4)] = 8,
    force: Annotated[
        bool, typer.Option("--force", help="Make a bundle of a model that failed its comparison.")
    ] = False,
    timeout: Timeout = 1800.0,
    memory: Memory = None,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Write what an Android engineer needs: model, golden vectors, Kotlin, tests and a README."""
    terminal = Terminal(quiet=quiet, json=json)
    with errors_as_exit_codes(terminal):
        from ..android import Normalization
        from ..api import AndroidOptions, android_bundle

        with terminal.progress() as say:
            bundle = android_bundle(
                folder,
                out=out,
                options=AndroidOptions(
                    package=package,
                    labels=labels,
                    normalization=Normalization.parse(mean, std),
                    samples=samples,
                    force=force,
                ),
                limits=limits(timeout, memory),
                say=say,
            )
        if bundle.forced:
            terminal.warn(f"made by force: {bundle.forced}")
        terminal.show(escape(f"bundle: {bundle.folder}"))
        plain = [name for name in bundle.files if not name.startswith("golden/")]
        terminal.show(*(escape(f"  {name}") for name in plain))
        terminal.show(f"  golden/ ({bundle.golden.count} samples)")
        terminal.emit(
            {
                "folder": str(bundle.folder),
                "files": list(bundle.files),
                "forced": bundle.forced,
                "tolerance": {
                    each.spec.name: {
                        name: limit.to_json() for name, limit in each.tolerance.items()
                    }
                    for each in bundle.golden.outputs
                },
            }
        )
