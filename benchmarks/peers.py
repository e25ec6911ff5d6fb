"""Makes the peers' TFLite files of the zoo's models: what the speed table compares with.

    python benchmarks/peers.py --litert-torch /path/to/venv/bin/python [--models a,b] [--out DIR]

litert-torch runs in an environment of its own (``pip install litert-torch==0.10.0 torch==2.13.0``);
onnx2tf is driftbridge's own hop in its toolchain. Files are kept in a cache folder, since onnx2tf
takes minutes for one model: what is there is not made again.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import time
from pathlib import Path
from typing import Any

import platformdirs
import torch
import zoo

CACHE = Path(platformdirs.user_cache_dir("driftbridge")) / "peers"
LIMIT = 1800  # seconds for one conversion

_LITERT_TORCH = """
import sys, time, torch, litert_torch
program = torch.export.load(sys.argv[1])
args, kwargs = program.example_inputs
begun = time.perf_counter()
model = litert_torch.convert(program.module(), args, sample_kwargs=kwargs or None)
model.export(sys.argv[2])
print("seconds", time.perf_counter() - begun)
"""


def main() -> None:
    """Make the files that are missing and say what became of each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--litert-torch", type=Path, help="python of litert-torch's environment")
    parser.add_argument("--models", default="", help="names, with commas; all that are not extra")
    parser.add_argument("--peers", default="litert-torch,onnx2tf")
    parser.add_argument("--out", type=Path, default=CACHE)
    options = parser.parse_args()
    names = [name for name in options.models.split(",") if name]
    chosen = zoo.select(names, extra=bool(names))
    for model in chosen:
        for peer in options.peers.split(","):
            target = options.out / peer / f"{model.name}.tflite"
            record = target.with_suffix(".json")
            if record.exists():
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            begun = time.perf_counter()
            try:
                seconds = make(peer, model, target, options.litert_torch)
                record.write_text(json.dumps({"seconds": seconds}))
                print(f"{peer} {model.name}: {seconds:.1f} s", flush=True)
            except (subprocess.SubprocessError, RuntimeError) as error:
                record.write_text(json.dumps({"error": str(error)[-2000:]}))
                target.unlink(missing_ok=True)
                spent = time.perf_counter() - begun
                print(f"{peer} {model.name}: failed after {spent:.0f} s", flush=True)


class _Plain(torch.nn.Module):
    """A model that returns a tuple: a peer's environment need not know the model's own classes."""

    def __init__(self, model: torch.nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, *args: Any, **kwargs: Any) -> tuple[torch.Tensor, ...]:
        leaves = torch.utils._pytree.tree_leaves(self.model(*args, **kwargs))
        return tuple(leaf for leaf in leaves if isinstance(leaf, torch.Tensor))


def make(peer: str, model: zoo.Model, target: Path, python: Path | None) -> float:
    """Let one peer convert one model.

    Returns:
        Seconds that its conversion took, without its imports.

    Raises:
        RuntimeError: It did not succeed.
    """
    program = target.with_suffix(".pt2")
    module, inputs = _Plain(model.load()), model.inputs("random")
    with torch.no_grad():
        exported = torch.export.export(
            module, inputs.args, dict(inputs.kwargs) or None, strict=False
        )
    torch.export.save(exported, program)
    try:
        if peer == "litert-torch":
            return _litert_torch(program, target, python)
        return _onnx2tf(program, target)
    finally:
        program.unlink()


def _litert_torch(program: Path, target: Path, python: Path | None) -> float:
    if python is None:
        raise RuntimeError("no environment of litert-torch was given")
    done = subprocess.run(
        [python, "-c", _LITERT_TORCH, program, target],
        capture_output=True,
        text=True,
        timeout=LIMIT,
    )
    if done.returncode or "seconds" not in done.stdout:
        raise RuntimeError(done.stderr)
    return float(done.stdout.split("seconds")[-1])


def _onnx2tf(program: Path, target: Path) -> float:
    import bridge
    from bridge.api import ConvertOptions

    folder = target.with_suffix(".out")
    result = bridge.convert(
        str(program),
        to=["tflite"],
        out=folder,
        options=ConvertOptions(route="onnx2tf-tflite"),
        validate=False,
    )
    artifact = result.artifacts.get("tflite")
    if artifact is None:
        raise RuntimeError("; ".join(str(each.detail) for each in result.outcomes if each.detail))
    target.write_bytes(artifact.path.read_bytes())
    return sum(each.seconds for each in result.outcomes)


if __name__ == "__main__":
    main()
