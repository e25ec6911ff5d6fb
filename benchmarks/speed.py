"""Speed of the direct compiler and of its files, beside litert-torch's and onnx2tf's.

    python benchmarks/speed.py [--models a,b] [--peers DIR] [--write docs/speed.md]

One process per model. Conversion is timed warm (frameworks imported, one small model converted
before): ``bridge.to_tflite``, which makes the file, and ``bridge.convert``, which makes a folder of
results. Latency is LiteRT with XNNPACK on one thread: the files of one model run in turns, and
medians are compared. The peers' files come from ``benchmarks/peers.py``.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
import zoo
from peers import CACHE

import bridge
from bridge.converters._capture import capture

PEERS = ("litert-torch", "onnx2tf")
_LOADS = 3  # where the tensors of one load lie in memory makes some files faster than others
_SECONDS = 2.0  # of latency runs for each file and load
_MOST_ROUNDS, _LEAST_ROUNDS = 150, 5
_CONVERSIONS = 5
_LARGE = 2**22  # bytes of weights; beside fewer, peaks are those of Python itself


def main() -> None:
    """Measure each model in a process of its own, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--models", default="", help="names, with commas; all but timm's and the extra ones"
    )
    parser.add_argument("--peers", type=Path, default=CACHE)
    parser.add_argument("--write", type=Path)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measure(options.one, options.peers)))
        return
    names = [name for name in options.models.split(",") if name]
    rows = []
    for model in zoo.select(names, extra=bool(names)):
        if not names and model.name.startswith("timm."):
            continue
        command = [sys.executable, __file__, "--one", model.name, "--peers", str(options.peers)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            print(f"{model.name}: {done.stderr.strip().splitlines()[-1:]}", file=sys.stderr)
            continue
        rows.append(json.loads(done.stdout.splitlines()[-1]))
        print(row(rows[-1]), flush=True)
    text = "\n".join([*HEAD, *(row(each) for each in rows)])
    if options.write:
        options.write.write_text(PREFACE + text + "\n" + summary(rows))
    print(summary(rows))


def measure(name: str, peers: Path) -> dict[str, Any]:
    """Convert one model and run its files.

    Returns:
        Seconds, bytes, operators and latencies in milliseconds.
    """
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        small = torch.nn.Sequential(torch.nn.Conv2d(3, 3, 3), torch.nn.ReLU()).eval()
        conversions(small, (torch.rand(1, 3, 9, 9),), {}, folder)
        model = zoo.find(name)
        module, inputs = model.load(), model.inputs("random")
        figures = conversions(module, inputs.args, inputs.kwargs, folder)
        files = {"ours": folder / "ours.tflite"}
        bridge.to_tflite(module, inputs.args or inputs.kwargs, files["ours"])
        files |= {
            peer: path for peer in PEERS if (path := peers / peer / f"{name}.tflite").exists()
        }
        return {
            "model": name,
            "weights": sum(each.nbytes for each in (*module.parameters(), *module.buffers())),
            **figures,
            "latency": latencies(files),
            "converted": {
                peer: json.loads((peers / peer / f"{name}.json").read_text()).get("seconds")
                for peer in PEERS
                if (peers / peer / f"{name}.json").exists()
            },
            "operators": {peer: operators(path) for peer, path in files.items()},
        }


def conversions(
    module: torch.nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any], folder: Path
) -> dict[str, float]:
    """Convert a module again and again, each time to a folder of its own, which is removed.

    Returns:
        Median seconds of ``torch.export``, of ``to_tflite`` and of ``convert``, and the bytes by
        which the highest peak of ``to_tflite`` is above that of ``torch.export``.
    """
    inputs, memory = args or kwargs, 0
    seconds: dict[str, list[float]] = {"export": [], "whole": [], "folder": []}
    for _ in range(_CONVERSIONS):
        _forget_peak()
        with _timed(seconds["export"]):
            capture(module, args, kwargs)
        peak = _peak()
        _forget_peak()
        with tempfile.TemporaryDirectory(dir=folder) as out:
            with _timed(seconds["whole"]):
                bridge.to_tflite(module, inputs, Path(out) / "model.tflite")
            memory = max(memory, _peak() - peak)
            with _timed(seconds["folder"]):
                result = bridge.convert(module, inputs, to="tflite", out=out, validate=False)
        if not result.ok:
            raise RuntimeError(f"it was not converted: {result.outcomes}")
    return {**{name: statistics.median(each) for name, each in seconds.items()}, "memory": memory}


@contextmanager
def _timed(seconds: list[float]) -> Iterator[None]:
    begun = time.perf_counter()
    yield
    seconds.append(time.perf_counter() - begun)


def _forget_peak() -> None:
    """Let the peak begin anew, so that what built the model does not hide what follows."""
    Path("/proc/self/clear_refs").write_text("5")


def _peak() -> int:
    """Largest resident size since it was forgotten, in bytes (Linux)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(each.split()[1]) for each in lines if each.startswith("VmHWM:")) * 1024


def operators(path: Path) -> int:
    """Number of operators of a file's main graph."""
    from ai_edge_litert import schema_py_generated as schema

    return int(schema.Model.GetRootAs(path.read_bytes(), 0).Subgraphs(0).OperatorsLength())


def latencies(files: Mapping[str, Path]) -> dict[str, float]:
    """Median milliseconds of each file's invoke, run in turns."""
    times: dict[str, list[float]] = {name: [] for name in files}
    for _ in range(_LOADS):
        interpreters = [(name, _interpreter(path)) for name, path in files.items()]
        for _, interpreter in interpreters:
            interpreter.invoke()
        ended = time.perf_counter() + _SECONDS * len(files)
        for number in range(_MOST_ROUNDS):
            for name, interpreter in interpreters if number % 2 else interpreters[::-1]:
                with _timed(times[name]):
                    interpreter.invoke()
            if time.perf_counter() > ended and number + 1 >= _LEAST_ROUNDS:
                break
    return {name: 1000 * statistics.median(each) for name, each in times.items()}


def _interpreter(path: Path) -> Any:
    import numpy as np
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(path), num_threads=1)
    interpreter.allocate_tensors()
    draw = np.random.default_rng(0)
    for detail in interpreter.get_input_details():
        shape, dtype = detail["shape"], detail["dtype"]
        values = draw.random(shape) if dtype == np.float32 else draw.integers(0, 2, shape)
        interpreter.set_tensor(detail["index"], values.astype(dtype))
    return interpreter


HEAD = (
    "| model | export s | whole s | allowed s | folder s | memory, × weights | operators "
    "| ms | litert-torch: s | operators | ms | onnx2tf: s | operators | ms "
    "| ms, × the better peer |",
    "|" + "---|" * 15,
)
PREFACE = """# Speed

Made by `make speed`; see [benchmarks.md](benchmarks.md) for what is measured.

- *whole* is `bridge.to_tflite`, from the module to the file; *export* is what `torch.export` takes
  of that. Both are warm, and medians of five.
- *allowed* is 1.3 × export + 0.5 s.
- *folder* is `bridge.convert` without a validation. Besides, it runs the model and the captured
  program to compare them, tells the model's weights by a digest, keeps the program as a file (as
  large as the weights, as the result is), and writes the report.
- *memory*: how far the peak of the whole is above that of `torch.export`; not of small models,
  whose peak is that of Python itself.
- *ms*: median latency in LiteRT with XNNPACK, one thread, over three loads of the files; the files
  of a model run in turns.

"""


def row(result: Mapping[str, Any]) -> str:
    """One line of the table."""
    latency = result["latency"]
    cells = [
        result["model"],
        f"{result['export']:.2f}",
        f"{result['whole']:.2f}",
        f"{_allowed(result):.2f}",
        f"{result['folder']:.2f}",
        f"{result['memory'] / result['weights']:.1f}" if result["weights"] > _LARGE else "",
        str(result["operators"]["ours"]),
        f"{latency['ours']:.2f}",
    ]
    for peer in PEERS:
        seconds = result["converted"].get(peer)
        cells += [
            "" if seconds is None else f"{seconds:.0f}",
            str(result["operators"].get(peer, "")),
            f"{latency[peer]:.2f}" if peer in latency else "",
        ]
    best = _ratio(result)
    return "| " + " | ".join([*cells, "" if best is None else f"{best:.2f}"]) + " |"


def _allowed(result: Mapping[str, Any]) -> float:
    return float(1.3 * result["export"] + 0.5)


def _ratio(result: Mapping[str, Any]) -> float | None:
    others = [value for name, value in result["latency"].items() if name != "ours"]
    return result["latency"]["ours"] / min(others) if others else None


def summary(rows: Sequence[Mapping[str, Any]]) -> str:
    """What does not hold, by model."""
    late = [
        f"{each['model']} ({each['whole']:.2f} s, allowed {_allowed(each):.2f})"
        for each in rows
        if each["whole"] > _allowed(each)
    ]
    slow = [
        f"{each['model']} ({ratio:.2f})"
        for each in rows
        if (ratio := _ratio(each)) is not None and ratio > 1.03
    ]
    return (
        f"\nThe whole slower than allowed: {', '.join(late) or 'none'}.\n"
        f"Slower than the better peer by more than 3 %: {', '.join(slow) or 'none'}.\n"
    )


if __name__ == "__main__":
    main()
