"""``driftbridge convert``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from .console import EXIT_CONVERSION, Json, Quiet, Terminal, errors_as_exit_codes
from .image_options import ChannelOrder, Crop, Mean, Resize, Std, image_options

Source = Annotated[
    str,
    typer.Argument(
        help="package.module:callable, file.py:callable, a .pt2, a TorchScript .pt or an .onnx file"
    ),
]
Input = Annotated[
    list[str] | None,
    typer.Option(
        "--input",
        "-i",
        help="An input: NAME=1x3x224x224:float32; ? is a dynamic dimension; repeatable.",
    ),
]
Inputs = Annotated[
    str | None,
    typer.Option(
        help="Real inputs: an .npz file, a folder with one NAME.npy per input, a folder of images, "
        "or file.py:callable that returns an iterable."
    ),
]
Weights = Annotated[
    Path | None, typer.Option(help="State dictionary to load: .safetensors, .pt or .pth.")
]
TrustPickle = Annotated[
    bool, typer.Option("--trust-pickle", help="Allow a weights file to run code when it is loaded.")
]
SamplesOption = Annotated[
    int | None,
    typer.Option(
        "--samples", min=1, help="Most samples to compare on: all real ones, or 16 drawn ones."
    ),
]
Timeout = Annotated[
    float, typer.Option(help="Seconds that each conversion and each run may take.", min=0.1)
]
Latency = Annotated[
    bool, typer.Option("--latency/--no-latency", help="Time the artifacts on this machine.")
]
Memory = Annotated[
    str | None,
    typer.Option(
        help="Memory for each worker process, and for the tensors captured at once, such as 4G."
    ),
]
ThresholdsOption = Annotated[
    Path | None,
    typer.Option(help="TOML file with other limits of drift, each with a value and a reason."),
]
Blame = Annotated[
    bool,
    typer.Option(
        "--blame/--no-blame", help="Cut out and reproduce a layer that introduces a failure."
    ),
]
FailOn = Annotated[
    str, typer.Option(help="The least verdict that makes the exit code 1: fail or warn.")
]


def convert(
    source: Source,
    to: Annotated[str, typer.Option(help="Formats, with commas: tflite,onnx,torchscript,mobile.")],
    input_: Input = None,
    inputs: Inputs = None,
    resize: Resize = None,
    crop: Crop = None,
    mean: Mean = None,
    std: Std = None,
    channel_order: ChannelOrder = None,
    weights: Weights = None,
    route: Annotated[
        str | None, typer.Option(help="A route's name, or the name of a hop to go through.")
    ] = None,
    opset: Annotated[int | None, typer.Option(help="ONNX opset version.", min=1)] = None,
    script: Annotated[
        bool, typer.Option("--script", help="Script the module for TorchScript, not trace it.")
    ] = False,
    io_layout: Annotated[
        list[str] | None,
        typer.Option(
            "--io-layout",
            help="nhwc for all images of a TFLite file, or NAME=nhwc for one; repeatable.",
        ),
    ] = None,
    keep_int64: Annotated[
        bool, typer.Option("--keep-int64", help="Keep 64-bit inputs and outputs in TFLite.")
    ] = False,
    precision: Annotated[
        str | None, typer.Option(help="fp16 stores the weights of TFLite in half the bytes.")
    ] = None,
    unroll: Annotated[
        int | None,
        typer.Option(help="Steps up to which recurrent layers are unrolled in TFLite.", min=0),
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for the results.")] = Path("out"),
    no_validate: Annotated[
        bool, typer.Option("--no-validate", help="Do not run and compare the artifacts.")
    ] = False,
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
    """Convert a model to one or more formats, run each artifact and compare it with the source."""
    terminal = Terminal(quiet=quiet, json=json)
    with errors_as_exit_codes(terminal):
        from ..api import ConvertOptions, DriftOptions
        from ..api import convert as run

        with terminal.progress() as say:
            result = run(
                source,
                to=[each.strip() for each in to.split(",") if each.strip()],
                out=out,
                source_options=source_options(
                    input_,
                    inputs,
                    weights,
                    trust_pickle,
                    samples,
                    images=image_options(resize, crop, mean, std, channel_order),
                ),
                options=ConvertOptions(
                    route=route,
                    hop_options={
                        "opset": opset,
                        "script": script or None,
                        "io_layout": io_layout or None,
                        "keep_int64": keep_int64 or None,
                        "precision": precision,
                        "unroll": unroll,
                    },
                    limits=limits(timeout, memory),
                    drift=DriftOptions(thresholds=thresholds, fail_on=fail_on),
                    latency=latency,
                    blame=blame,
                ),
                validate=not no_validate,
                say=say,
            )
        show(terminal, result.report)
        for name in result.stale:
            terminal.warn(f"{result.folder / name} is from an earlier run of something else")
        reused = " (an earlier run's: nothing has changed)" if result.reused else ""
        terminal.show(escape(f"\nfiles{reused}: {result.folder}"))
        terminal.show(*(escape(f"  {each.path}") for each in result.artifacts.values()))
        terminal.show(escape(f"report: {result.folder / 'report.html'}"))
        terminal.emit(result.report)
        if result.exit_code == EXIT_CONVERSION:
            failed = [each.format for each in result.conversions if each.artifact is None]
            terminal.complain(f"[red]error[/red]: no {', '.join(failed)} was made")
        raise typer.Exit(result.exit_code)


def source_options(
    declared: list[str] | None,
    real: str | None,
    weights: Path | None,
    trust_pickle: bool,
    samples: int | None,
    images: Any,
) -> Any:
    """Return the options that say how a source is opened."""
    from ..api import SourceOptions
    from ..samples import InputSpec

    return SourceOptions(
        weights=weights,
        declared=[InputSpec.parse(text) for text in declared or ()],
        real=real,
        images=images,
        trust_pickle=trust_pickle,
        samples=samples,
    )


def limits(timeout: float, memory: str | None) -> Any:
    """Return the limits of each piece of work; ``UsageError`` if the memory cannot be read."""
    from ..worker import Limits
    from ..worker.limits import parse_bytes

    return Limits(seconds=timeout, memory=parse_bytes(memory) if memory else None)


def show(terminal: Terminal, report: Any) -> None:
    """Print the tables of a report, and a line for everything that needs one."""
    from .compatibility_lines import compatibility_lines
    from .tables import drift, remarks, summary

    terminal.show(summary(report))
    for remark in remarks(report):
        terminal.show(f"• {escape(remark)}")
    for line in compatibility_lines(report):
        terminal.show(f"• {escape(line)}")
    if report["layers"] and report["validation"]:
        terminal.show("", drift(report))
