"""``make scoreboard``: faults seeded into good artifacts, and whether the validator names them.

Each model is judged in a process of its own. Results are kept as they come, one file of JSON lines
for each model, and are taken again as long as the program and the models are the same.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import multiprocessing
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import partial
from pathlib import Path
from typing import Any

from faults import models, scoreboard_page
from faults.scores import scores
from faults.seeding import PER_KIND_AND_FORMAT, Fault, Seeder, choose

from bridge.api.reuse import own_code

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
_SEEDING = [
    path.name
    for path in sorted((HERE / "faults").glob("*.py"))
    if path.name not in ("judging.py", "scores.py", "scoreboard_page.py")
]


def main() -> None:
    """Seed, judge, print the summary and write the page."""
    asked = _arguments()
    root: Path = asked.results
    root.mkdir(parents=True, exist_ok=True)
    names = _words(asked.models) or list(models.models())
    plan = _plan(root, names, asked.count)
    faults = [Fault.from_json(each) for each in plan["faults"]]
    only = set(_words(asked.only))
    if only:
        faults = [each for each in faults if only & {each.kind, each.model, each.format}]
        names = [name for name in names if any(each.model == name for each in faults)]
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(asked.jobs, mp_context=context) as pool:
        waiting = {
            pool.submit(_judge_model, root, name, [e for e in faults if e.model == name]): name
            for name in names
        }
        for done in as_completed(waiting):
            records = done.result()
            print(f"{waiting[done]}: {scoreboard_page.line(records)}", flush=True)
    wanted = {each.name for each in faults}
    records = [
        record
        for name in names
        for of, record in _known(root, name).items()
        if of in wanted or "alarms" in record
    ]
    page = scoreboard_page.page(records, plan["rejected"], plan["refused"])
    print(page.partition("## Faults")[0])
    if asked.write:
        asked.write.write_text(page)
        asked.write.with_suffix(".json").write_text(scoreboard_page.document(records) + "\n")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--models", default="", help="models to seed, separated by commas")
    parser.add_argument("--only", default="", help="kinds, models, formats to judge, by commas")
    parser.add_argument("--count", type=int, default=PER_KIND_AND_FORMAT,
                        help="faults for each kind and format")  # fmt: skip
    parser.add_argument("--jobs", type=int, default=1, help="models at once")
    parser.add_argument("--results", type=Path, default=ROOT / "out" / "scoreboard")
    parser.add_argument("--write", type=Path, help="file of the page; a .json is put beside it")
    return parser.parse_args()


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def _plan(root: Path, names: Sequence[str], count: int) -> dict[str, Any]:
    """The faults that were chosen before, or are now; they depend on the good files alone."""
    seeders = {name: Seeder(models.prepare(name, root / "models")) for name in names}
    digests = [
        artifact.sha256
        for seeder in seeders.values()
        for artifact in seeder.subject.artifacts.values()
    ]
    key = _digest(_SEEDING, *names, str(count), *digests)
    path = root / "faults.json"
    if path.exists():
        plan: dict[str, Any] = json.loads(path.read_text())
        if plan["key"] == key:
            return plan
    chosen, rejected = choose(seeders, count, say=partial(print, flush=True))
    plan = {
        "key": key,
        "faults": [each.to_json() for each in chosen],
        "rejected": [vars(each) for each in rejected],
        "refused": [each for seeder in seeders.values() for each in seeder.refused()],
    }
    path.write_text(json.dumps(plan, indent=1))
    print(f"{len(chosen)} faults; {len(rejected)} sites were tried and are none", flush=True)
    return plan


def _judge_model(root: Path, name: str, faults: Sequence[Fault]) -> list[dict[str, Any]]:
    """Judge a model's artifacts; records are written as they come."""
    seeder = Seeder(models.prepare(name, root / "models"))
    known = _known(root, name)
    key = _judging_key()
    with (root / f"{name}.jsonl").open("a") as file:
        for of, record in scores(seeder, faults, known):
            known[of] = record
            print(json.dumps({"key": key, "name": of, "record": record}), file=file, flush=True)
    wanted = {each.name for each in faults}
    return [record for of, record in known.items() if of in wanted or "alarms" in record]


def _known(root: Path, name: str) -> dict[str, dict[str, Any]]:
    """What this program found of a model before."""
    path, key = root / f"{name}.jsonl", _judging_key()
    rows = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    return {row["name"]: row["record"] for row in rows if row["key"] == key}


def _judging_key() -> str:
    """What a judgement depends on: the program, and of these benchmarks what seeds and judges."""
    return _digest([*_SEEDING, "judging.py", "scores.py"], own_code())


def _digest(files: Sequence[str], *words: str) -> str:
    total = hashlib.sha256("|".join(words).encode())
    for name in files:
        total.update((HERE / "faults" / name).read_bytes())
    return total.hexdigest()


if __name__ == "__main__":
    sys.exit(main())
