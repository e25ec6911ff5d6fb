"""``driftbridge validate``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from .console import Json, Quiet, Terminal, errors_as_exit_codes
from .convert import (
    Blame,
    FailOn,
    Input,
    Inputs,
    Latency,
    Memory,
    SamplesOption,
    ThresholdsOption,
    Timeout,
    TrustPickle,
    Weights,
    limits,
    show,
    source_options,
)
from .image_options import ChannelOrder, Crop, Mean, Resize, Std, image_options


def validate(
    path: Annotated[Path, typer.Argument(help="A folder that convert made, or an artifact.")],
    against: Annotated[
        str | None, typer.Option(help="The source of an artifact: as for convert.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="With --against: folder for the report and, if a layer fails, its reproduction."
        ),
    ] = None,
    input_: Input = None,
    inputs: Inputs = None,
    resize: Resize = None,
    crop: Crop = None,
    mean: Mean = None,
    std: Std = None,
    channel_order: ChannelOrder = None,
    weights: Weights = None,
    samples: SamplesOption = None,
    latency: Latency = True,
    blame: Blame = True,
    trust_pickle: TrustPickle = False,
    timeout: Timeout = 1800.0,
    memory: Memory = None,
    thresholds: ThresholdsOption = None,
    fail_on: FailOn = "fail",
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Run the artifacts of a folder again, or any artifact against its source."""
    terminal = Terminal(quiet=quiet, json=json)
    with errors_as_exit_codes(terminal):
        from ..api import DriftOptions
        from ..api import validate as run

        with terminal.progress() as say:
            comparison = run(
                path,
                against=against,
                out=out,
                source_options=source_options(
                    input_,
                    inputs,
                    weights,
                    trust_pickle,
                    samples,
                    images=image_options(resize, crop, mean, std, channel_order),
                ),
                limits=limits(timeout, memory),
                drift=DriftOptions(thresholds=thresholds, fail_on=fail_on),
                latency=latency,
                blame=blame,
                say=say,
            )
        show(terminal, comparison.report)
        if comparison.folder:
            terminal.show(escape(f"\nreport: {comparison.folder / 'report.html'}"))
        terminal.emit(comparison.report)
        raise typer.Exit(comparison.exit_code)
