"""``python -m zoo [names or groups]`` in benchmarks: whether each model runs, and is alive."""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Iterator
from typing import Any

import torch

import zoo


def main(words: list[str]) -> None:
    """Print a line for each model: parameters, seconds, range of the outputs, constant layers."""
    warnings.simplefilter("ignore")
    known = zoo.models()
    names = [word for word in words if word in known]
    for model in zoo.select(names, [word for word in words if word not in known]):
        try:
            print(_line(model), flush=True)
        except Exception as error:  # noqa: BLE001 - a model of someone else's may raise anything
            text = (str(error).splitlines() or [""])[0][:200]
            print(f"{model.name:32} FAILED {type(error).__name__}: {text}", flush=True)


def _line(model: zoo.Model) -> str:
    started = time.perf_counter()
    module = model.load()
    dead: dict[str, None] = {}
    outputs: list[str] = []
    for kind in zoo.KINDS:
        given = model.inputs(kind)
        hooks = [
            each.register_forward_hook(_note(name, dead))
            for name, each in module.named_modules()
            if not list(each.children())
        ]
        with torch.no_grad():
            result = module(*given.args, **given.kwargs)
        outputs.append(" ".join(_spread(result)))
        for hook in hooks:
            hook.remove()
    parameters = sum(each.numel() for each in module.parameters()) / 1e6
    seconds = time.perf_counter() - started
    return (
        f"{model.name:32} {model.group:12} {parameters:6.1f} M {seconds:5.1f} s  "
        f"{' | '.join(outputs)}" + (f"  DEAD {', '.join(dead)}" if dead else "")
    )


def _note(name: str, dead: dict[str, None]) -> Any:
    def hook(module: torch.nn.Module, args: Any, output: Any) -> None:
        if isinstance(output, torch.Tensor) and output.is_floating_point() and output.numel() > 1:
            spread = float(output.std())
            if not 1e-4 < spread < 1e4:
                dead[f"{name}({spread:.1e})"] = None

    return hook


def _spread(result: Any) -> Iterator[str]:
    for leaf in torch.utils._pytree.tree_leaves(result):
        if isinstance(leaf, torch.Tensor) and leaf.is_floating_point():
            yield f"{float(leaf.std()):.3g}"


if __name__ == "__main__":
    main(sys.argv[1:])
