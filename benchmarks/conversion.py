"""``make bench``: what conversions and the command line cost beside the bare library calls.

Figures are medians of alternating runs of whole processes: on a machine with other work, only the
ratio of two commands that were run in turn means something.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
MODEL = "benchmarks.zoo:mobilenet_v2"
BARE = """
import sys, warnings, logging
warnings.simplefilter("ignore"); logging.disable(logging.WARNING)
sys.path.insert(0, {here!r})
import torch, zoo
model, inputs = zoo.mobilenet_v2()
out = {out!r}
with torch.no_grad():
    traced = torch.jit.trace(model, inputs)
    traced.save(out + "/model.pt")
    traced._save_for_lite_interpreter(out + "/model.ptl", _use_flatbuffer=True)
    program = torch.export.export(model, inputs)
    torch.export.save(program, out + "/model.pt2")
    torch.onnx.export(program, dynamo=True, verbose=False).save(out + "/raw.onnx")
import onnx, onnxsim
onnx.save(onnxsim.simplify(onnx.load(out + "/raw.onnx"))[0], out + "/model.onnx")
"""


def main() -> None:
    """Run the benchmarks and print one table in Markdown."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=5)
    runs = parser.parse_args().runs
    driftbridge = [sys.executable, "-m", "bridge"]
    print("| what | median s | min–max s | limit |\n|---|---|---|---|")
    _row("driftbridge --help", _times(runs, lambda: _run([*driftbridge, "--help"])), "0.3 s")
    with tempfile.TemporaryDirectory() as folder:
        _conversion(driftbridge, Path(folder), runs)


def _conversion(driftbridge: list[str], folder: Path, runs: int) -> None:
    """MobileNetV2 to torchscript, mobile and ONNX: ours and the bare calls, in turn."""
    bare, ours = [], []
    for index in range(runs + 1):
        out = folder / f"run-{index}"
        out.mkdir()
        code = BARE.format(here=str(HERE), out=str(out))
        bare += _times(1, lambda code=code: _run([sys.executable, "-c", code]))
        command = [*driftbridge, "convert", MODEL, "--to", "torchscript,mobile,onnx"]
        command += ["--no-validate", "--quiet", "--out", str(out / "ours")]
        ours += _times(1, lambda command=command: _run(command))
    again = [*command[:-4], "--quiet", "--out", str(out / "full")]
    _run(again)
    _row("bare library calls, one process", bare[1:], "")
    _row("driftbridge convert --no-validate", ours[1:], "")
    ratios = [mine / theirs for mine, theirs in zip(ours[1:], bare[1:], strict=True)]
    _row("ratio of the two, pair by pair", ratios, "1.3")
    _row("the same again with validation, all reused", _times(runs, lambda: _run(again)), "3 s")
    build = f"import sys; sys.path.insert(0, {str(HERE)!r}); import zoo; zoo.mobilenet_v2()"
    alone = [sys.executable, "-W", "ignore", "-c", build]
    _row(
        "a bare process that only builds the model and ends", _times(runs, lambda: _run(alone)), ""
    )
    _digits(driftbridge, folder, runs)


def _digits(driftbridge: list[str], folder: Path, runs: int) -> None:
    """The digits CNN to four formats with validation, and the same again."""
    fixture = str(ROOT / "fixtures" / "digits_cnn")
    command = [*driftbridge, "convert", f"{ROOT / 'fixtures' / 'models.py'}:digits_cnn"]
    command += ["--weights", f"{fixture}.safetensors", "--inputs", f"{fixture}.npz", "--quiet"]
    command += ["--to", "torchscript,mobile,onnx,tflite", "--out"]
    times = [_times(1, lambda n=n: _run([*command, str(folder / f"cnn-{n}")])) for n in range(runs)]
    _row("digits CNN to four formats, run in five runtimes", [t for (t,) in times], "")
    again = [*command, str(folder / "cnn-0")]
    _row("the same again, all reused", _times(runs, lambda: _run(again)), "3 s")


def _run(command: list[str]) -> None:
    subprocess.run(command, check=True, cwd=ROOT, stdout=subprocess.DEVNULL)


def _times(runs: int, call: Callable[[], None]) -> list[float]:
    times = []
    for _ in range(runs):
        started = time.perf_counter()
        call()
        times.append(time.perf_counter() - started)
    return times


def _row(what: str, times: list[float], limit: str) -> None:
    spread = f"{min(times):.2f}–{max(times):.2f}"
    print(f"| {what} | {statistics.median(times):.2f} | {spread} | {limit} |", flush=True)


if __name__ == "__main__":
    main()
