"""``make opinfo``: the samples of PyTorch's own operator database through the direct compiler.

Every operator of ``op_db`` on its own sample inputs, in float32, int32, int64 and bool: captured,
compiled, run in LiteRT with its plain kernels and with XNNPACK, compared with eager mode. Workers
(opinfo_worker.py) are processes; one that dies is started again after the sample that killed it.
"""

from __future__ import annotations

import argparse
import json
import os
import queue
import subprocess
import sys
import threading
import warnings
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bridge.converters.tflite import LOWERINGS

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
MOST = {"float32": 30, "int64": 10, "int32": 10, "bool": 10}  # samples of an operator by type
ALIKE = 6  # refusals in a row, from the first sample on, after which the rest is not tried
SECONDS = 120.0  # for one sample, the start of a worker included
COLUMNS = ("passed", "unsupported", "limit", "wrong")
INTRODUCTION = (
    "# PyTorch's operator database\n\n"
    "`make opinfo` makes this page: sample inputs of PyTorch's own tests "
    "(`torch.testing._internal`, `op_db`) through the direct compiler, in float32, int32, int64 "
    "and bool, at most 60 of an operator, taken evenly. Each is captured, compiled, run in LiteRT "
    "with its plain kernels and with XNNPACK, and compared with eager mode: shape, type, and value "
    "(100 dB, or what `torch.testing` allows float32). *Unsupported* are samples that the compiler "
    f"refuses with a reason (after {ALIKE} equal refusals from the first on, the rest counts as "
    "refused too); *wrong* is everything else: another value, shape or type, a crash, an error "
    "that is no refusal. *Limit* are samples that deviate by what the runtime's kernels do by "
    "design, proved element by element: an infinity that the plain kernels of ADD, SUB, MUL and "
    "DIV clamp to the largest number of its sign (XNNPACK's result is right; the softmax of a row "
    "of such is uniform instead of NaN), and a NaN that the kernels of extremes, or XNNPACK's EXP, "
    "lose (all else than what depends on it is right). "
    "Skipped are samples that PyTorch cannot capture, complex and sparse ones, "
    "and values beyond 32 bits.\n"
)


@dataclass(kw_only=True)
class Sample:
    """One sample and what became of it."""

    operator: str
    dtype: str
    text: str
    size: int
    status: str
    why: str = ""
    aten: list[str] = field(default_factory=list)


class Worker:
    """A process that runs jobs; it is started again when it has died."""

    def __init__(self) -> None:
        self.process: subprocess.Popen[str] | None = None

    def run(self, job: dict[str, Any]) -> list[Sample]:
        """Run the samples of one operator and type."""
        found: list[Sample] = []
        pending: dict[str, Any] | None = None
        self._send({**job, "start": 0, "reasons": []})
        while True:
            report = self._read()
            if report is None:
                how = f"crash ({self._end()})"
                if pending is None:  # it died while samples were drawn: nothing to go on with
                    return [*found, _sample(job, {"text": "", "size": 0}, "skipped", how)]
                found.append(_sample(job, pending, "wrong", how))
                self._send({**job, "start": pending["begin"] + 1, "reasons": []})
                pending = None
            elif "begin" in report:
                pending = report
            elif "end" in report and pending is not None:
                sample = _sample(job, pending, report["status"], report["why"])
                sample.aten = report["aten"]
                found.append(sample)
                pending = None
            elif "finished" in report:
                if report["why"]:
                    nothing = {"text": "", "size": 0}
                    found.append(_sample(job, nothing, "skipped", f"not drawn: {report['why']}"))
                return found

    def close(self) -> None:
        """End the process."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def _send(self, job: dict[str, Any]) -> None:
        if self.process is None:
            environment = {
                **os.environ,
                "TF_CPP_MIN_LOG_LEVEL": "3",
                "PYTHONPATH": str(ROOT),
                "OMP_NUM_THREADS": "1",
            }
            self.process = subprocess.Popen(
                [sys.executable, "-W", "ignore", str(HERE / "opinfo_worker.py")],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                env=environment,
            )
        assert self.process.stdin is not None
        print(json.dumps(job), file=self.process.stdin, flush=True)

    def _read(self) -> dict[str, Any] | None:
        """The next report; nothing if the process has died or is killed for taking too long."""
        assert self.process is not None
        assert self.process.stdout is not None
        timer = threading.Timer(SECONDS, self.process.kill)
        timer.start()
        line = self.process.stdout.readline()
        timer.cancel()
        return json.loads(line) if line.endswith("\n") else None

    def _end(self) -> str:
        assert self.process is not None
        code = self.process.wait()
        self.process = None
        return f"signal {-code}" if code < 0 else f"exit code {code}"


def _sample(job: dict[str, Any], pending: dict[str, Any], status: str, why: str) -> Sample:
    return Sample(
        operator=_full_name(job["name"], job["variant"]),
        dtype=job["dtype"],
        text=pending["text"],
        size=pending["size"],
        status=status,
        why=why,
    )


def _full_name(name: str, variant: str) -> str:
    return f"{name} ({variant})" if variant else name


def main() -> None:
    """Run the operators that were asked for, print and write what came of it."""
    asked = _arguments()
    LOWERINGS.members()  # a lowering that does not import ends the run here, not sample by sample
    jobs = list(_jobs([word for word in asked.operators.split(",") if word]))
    folder: Path = asked.results
    folder.mkdir(parents=True, exist_ok=True)
    samples = _run(jobs, asked.workers)
    if asked.merge:
        samples = _merged(folder / "samples.json", samples)
    (folder / "samples.json").write_text(json.dumps([vars(each) for each in samples], indent=0))
    (folder / "wrong.txt").write_text("\n".join([*_wrong(samples), ""]))
    lines = [*_refused(samples), "", *_skipped(samples), "", *_wrong(samples), "", _totals(samples)]
    print("\n".join(lines))
    if asked.write:
        asked.write.write_text("\n".join([INTRODUCTION, *_page(samples), ""]))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--operators", default="", help="parts of names, separated by commas")
    parser.add_argument("--workers", type=int, default=2, help="processes of one thread each")
    parser.add_argument("--results", type=Path, default=ROOT / "out" / "opinfo")
    parser.add_argument(
        "--merge", action="store_true", help="keep the other operators of the last run's results"
    )
    parser.add_argument("--write", type=Path, help="file of the published table")
    return parser.parse_args()


def _merged(path: Path, samples: list[Sample]) -> list[Sample]:
    """Samples of an earlier run, those of the operators that have been run again replaced."""
    again = {each.operator for each in samples}
    earlier = [Sample(**each) for each in json.loads(path.read_text())]
    return [*(each for each in earlier if each.operator not in again), *samples]


def _jobs(parts: list[str]) -> Iterator[dict[str, Any]]:
    """A job for each operator and type; ``=add`` asks for exactly that operator."""
    import torch
    from torch.testing._internal.common_methods_invocations import op_db

    warnings.simplefilter("ignore")
    for operator in op_db:
        name = operator.name
        exact = f"={name}" in parts
        if parts and not exact and not any(part in name for part in parts if part[0] != "="):
            continue
        supported = operator.supported_dtypes("cpu")
        for dtype, most in MOST.items():
            if getattr(torch, dtype) in supported:
                variant = operator.variant_test_name
                yield {
                    "name": name,
                    "variant": variant,
                    "dtype": dtype,
                    "most": most,
                    "alike": ALIKE,
                }


def _run(jobs: list[dict[str, Any]], workers: int) -> list[Sample]:
    waiting: queue.SimpleQueue[tuple[int, dict[str, Any]]] = queue.SimpleQueue()
    for numbered in enumerate(jobs):
        waiting.put(numbered)
    results: dict[int, list[Sample]] = {}

    def serve() -> None:
        worker = Worker()
        try:
            while True:
                index, job = waiting.get_nowait()
                results[index] = worker.run(job)
                if len(results) % 100 == 0:
                    print(f"{len(results)} of {len(jobs)} done", file=sys.stderr, flush=True)
        except queue.Empty:
            worker.close()

    with ThreadPoolExecutor(workers) as pool:
        for future in [pool.submit(serve) for _ in range(workers)]:
            future.result()
    return [sample for index in sorted(results) for sample in results[index]]


# -- tables ---------------------------------------------------------------------------------------


def _page(samples: list[Sample]) -> Iterator[str]:
    """The published tables: operators that work, refusals, lowerings that no sample reaches."""
    yield _totals(samples)
    yield "\n| operator | lowered | passed | unsupported | limit | wrong | why unsupported |"
    yield "|---|---|---|---|---|---|---|"
    refused = []
    for name, own in _by_operator(samples).items():
        counts = Counter(each.status for each in own)
        if not any(counts[each] for each in ("passed", "limit", "wrong")):
            refused += [name] if counts["unsupported"] else []
            continue
        passed = {aten for each in own if each.status == "passed" for aten in each.aten}
        reasons = Counter(_shortened(each.why) for each in own if each.status == "unsupported")
        why = "; ".join(reason for reason, _ in reasons.most_common(2))
        numbers = " | ".join(str(counts[each]) for each in COLUMNS)
        listed = ", ".join(sorted(each.removeprefix("aten.") for each in passed))
        yield f"| {name} | {listed} | {numbers} | {why} |"
    yield f"\nRefused on all samples ({len(refused)}): {', '.join(refused)}."
    yield f"\nLowerings that no sample reaches: {', '.join(_unreached(samples)) or 'none'}."


def _unreached(samples: list[Sample]) -> list[str]:
    reached = {aten.removesuffix("_") for each in samples for aten in each.aten}
    packets = {".".join(name.split(".")[:2]) for name in LOWERINGS.names()}
    return sorted(name for name in packets if name.removesuffix("_") not in reached)


def _totals(samples: Iterable[Sample]) -> str:
    counts = Counter(each.status for each in samples)
    listed = (*COLUMNS, "skipped")
    return ", ".join(f"{counts[status]} {status}" for status in listed) + " samples."


def _by_operator(samples: Iterable[Sample]) -> dict[str, list[Sample]]:
    found: dict[str, list[Sample]] = defaultdict(list)
    for sample in samples:
        found[sample.operator].append(sample)
    return dict(sorted(found.items()))


def _refused(samples: list[Sample]) -> Iterator[str]:
    """Why samples are refused, by how many operators that concerns."""
    reasons: dict[str, set[str]] = defaultdict(set)
    for sample in samples:
        if sample.status == "unsupported":
            for part in sample.why.split("; "):
                reasons[part].add(sample.operator)
    yield "Unsupported, by operators:"
    for reason, names in sorted(reasons.items(), key=lambda each: -len(each[1]))[:60]:
        yield f"  {len(names):3} {reason[:140]}  [{', '.join(sorted(names)[:4])}]"


def _skipped(samples: list[Sample]) -> Iterator[str]:
    counts = Counter(each.why for each in samples if each.status == "skipped")
    yield "Skipped:"
    yield from (f"  {count:5} {why[:140]}" for why, count in counts.most_common(20))


def _wrong(samples: list[Sample]) -> Iterator[str]:
    """Wrong samples by operator, each kind of mistake with its smallest sample."""
    yield "Wrong:"
    for name, own in _by_operator(samples).items():
        wrong = [each for each in own if each.status == "wrong"]
        if not wrong:
            continue
        lowered = sorted({aten for each in wrong for aten in each.aten})
        yield f"{name}: {len(wrong)} of {len(own)} ({', '.join(lowered)})"
        kinds: dict[str, Sample] = {}
        for sample in sorted(wrong, key=lambda each: each.size):
            kinds.setdefault(f"{sample.dtype} {sample.why[:16]}", sample)
        for sample in list(kinds.values())[:6]:
            yield f"    {name}({sample.text}): {sample.why}"


def _shortened(why: str) -> str:
    return " ".join(why.replace("|", "/").split())[:100]


if __name__ == "__main__":
    main()
