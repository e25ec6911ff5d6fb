"""``make coverage``: what the direct compiler makes of every model of the zoo.

Each model is measured in a process of its own (coverage_model.py), so that neither a crash nor
memory ends the run. The results are kept as JSON, one file for each model.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import zoo

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
HEADER = (
    "| model | operators | transposes | partitions | left out of them | least SQNR, dB: XNNPACK | "
    "plain kernels | PyTorch's own rounding | layers found, dB | export s | compile s |"
)
INTRODUCTION = (
    "# Coverage\n\n"
    "`make coverage` makes this page: every model of benchmarks/zoo through the direct compiler, "
    "and through LiteRT with XNNPACK and with its plain kernels. The weights are random and leave "
    "no layer dead. Least SQNR is over all outputs, on random and on structured inputs, against "
    "PyTorch in float32; beside it is how far PyTorch itself is from float64, on random inputs. "
    '"Layers found" counts the layers of the captured program that have a tensor of their own in '
    "the file, each compared with PyTorch's value of that layer; the figure is the lowest of them. "
    "Seconds are of a warm process on two cores.\n"
)


def main() -> None:
    """Measure the models that were asked for, print the table and what is missing."""
    asked = _arguments()
    models = zoo.select(_words(asked.models), _words(asked.group), extra=not asked.usual)
    folder: Path = asked.results
    folder.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(asked.jobs) as pool:
        runs = pool.map(lambda model: _measured(model, folder, asked.timeout, asked.reuse), models)
        results = []
        for result in runs:
            results.append(result)
            print(_summary(result), flush=True)
    print("\n".join(["", *_table(results), "", *_needed(results), "", *_wrong(results)]))
    if asked.write:
        asked.write.write_text("\n".join([INTRODUCTION, *_table(results), ""]))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--models", default="", help="names, separated by commas")
    parser.add_argument("--group", default="", help="groups (cnn) or sources (timm), by commas")
    parser.add_argument("--usual", action="store_true", help="leave the extra models out")
    parser.add_argument("--jobs", type=int, default=1, help="models at once")
    parser.add_argument("--timeout", type=float, default=900.0, help="seconds for a model")
    parser.add_argument("--results", type=Path, default=ROOT / "out" / "coverage")
    parser.add_argument("--reuse", action="store_true", help="take results that are there already")
    parser.add_argument("--write", type=Path, help="file of the published table")
    return parser.parse_args()


def _words(text: str) -> list[str]:
    return [word for word in text.split(",") if word]


def _measured(model: zoo.Model, folder: Path, timeout: float, reuse: bool) -> dict[str, Any]:
    """Run coverage_model.py for one model and return what it wrote."""
    report = folder / f"{model.name}.json"
    if reuse and report.exists() and _read(report)["status"] != "crashed":
        return _read(report)
    report.unlink(missing_ok=True)
    command = [sys.executable, "-W", "ignore", str(HERE / "coverage_model.py"), model.name]
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONPATH": str(ROOT)}
    log = folder / f"{model.name}.log"
    with log.open("wb") as output:
        try:
            ended = subprocess.run(
                [*command, str(report)], stdout=output, stderr=output, timeout=timeout,
                env=environment, check=False,
            )  # fmt: skip
            problem = f"exit code {ended.returncode}"
        except subprocess.TimeoutExpired:
            problem = f"more than {timeout:.0f} s"
    result = _read(report) if report.exists() else {"name": model.name, "status": "crashed"}
    if result["status"] == "crashed":
        result["error"] = f"{problem}: {log.read_text(errors='replace')[-300:]}"
        report.write_text(json.dumps(result))
    return result


def _read(report: Path) -> dict[str, Any]:
    return json.loads(report.read_text())  # type: ignore[no-any-return]


# -- tables ---------------------------------------------------------------------------------------


def _summary(result: dict[str, Any]) -> str:
    return f"{result['name']:34} {_cells(result)}"


def _cells(result: dict[str, Any]) -> str:
    """The columns after the model's name; one text for a model that was not measured."""
    status = result["status"]
    if status == "unsupported":
        listed = (f"{each['operator']} ×{each['count']}" for each in result["unsupported"])
        return f"unsupported: {', '.join(listed)}"
    if status != "done":
        where = f" ({result['stage']})" if "stage" in result else ""
        error = " ".join(result.get("error", "").split())
        return f"{status}{where}: {error[:200]}"
    seconds, layers, rounding = result["seconds"], result["layers"], result.get("rounding")
    left_out = ", ".join(f"{kind} ×{count}" for kind, count in result["left_out"].items())
    unexplained = len(layers["unexplained"])
    found = f"{layers['mapped']}/{layers['total']}, {_decibels(layers['worst'])}"
    found += f", {unexplained} unexplained" if unexplained else ""
    cells = [
        str(result["operators"]),
        str(result["transposes"]),
        str(result["partitions"]),
        left_out,
        *(_decibels(min(result["sqnr"][name].values())) for name in ("xnnpack", "plain")),
        "" if rounding is None else _decibels(rounding),
        found,
        f"{seconds['export']:.2f}",
        f"{seconds['compile']:.2f}",
    ]
    return " | ".join(cells)


def _decibels(figure: float) -> str:
    return f"{figure:.0f}" if abs(figure) < float("inf") else ("exact" if figure > 0 else "WRONG")


def _table(results: Sequence[dict[str, Any]]) -> Iterator[str]:
    yield HEADER
    yield "|---" * HEADER.count(" | ") + "|---|"
    for result in results:
        cells = _cells(result)
        if result["status"] != "done":
            cells += " |" * (HEADER.count(" | ") - 1)
        yield f"| {result['name']} | {cells} |"
    counts = Counter(result["status"] for result in results)
    listed = ", ".join(f"{count} {status}" for status, count in counts.most_common())
    yield f"\n{len(results)} models: {listed}."


def _needed(results: Iterable[dict[str, Any]]) -> Iterator[str]:
    """What cannot be expressed, by how many models need it."""
    reasons: dict[tuple[str, str], list[str]] = {}
    for result in results:
        for each in result.get("unsupported", ()):
            key = each["operator"], (each["hint"] or "").partition("\n")[0]
            reasons.setdefault(key, []).append(result["name"])
    yield "Unsupported, by models:"
    for (operator, hint), names in sorted(reasons.items(), key=lambda each: -len(each[1])):
        yield f"  {len(names):3} {operator}: {hint}  [{', '.join(names[:4])}]"


def _wrong(results: Iterable[dict[str, Any]]) -> Iterator[str]:
    """Outputs and layers that are not PyTorch's, and what failed in another way."""
    yield "Wrong or failed:"
    for result in results:
        if result["status"] in ("failed", "crashed"):
            yield f"  {result['name']}: {_cells(result)}"
        for kernels, figures in result.get("sqnr", {}).items():
            for kind, figure in figures.items():
                if figure < 90.0:
                    yield f"  {result['name']}: {kernels}, {kind}: {_decibels(figure)} dB"
        layers = result.get("layers", {})
        if layers.get("low"):
            shown = ", ".join(
                f"{layer} {_decibels(figure)}" for layer, _, figure in layers["low"][:4]
            )
            yield f"  {result['name']}: {len(layers['low'])} layers below 80 dB: {shown}"
        if layers.get("unexplained"):
            kinds = Counter(operator for _, operator in layers["unexplained"])
            yield f"  {result['name']}: unexplained layers: {dict(kinds.most_common(6))}"
        if layers.get("constant"):
            yield f"  {result['name']}: constant in eager mode: {layers['constant'][:4]}"


if __name__ == "__main__":
    main()
