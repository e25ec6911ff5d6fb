"""The scoreboard as a page and as data."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from bridge.validators.verdict import THRESHOLDS, Thresholds

from .edits import INT8
from .formats import target_of
from .kinds import KINDS
from .models import SAMPLES, models
from .quantizing import COLLAPSED, SPOILT

Record = dict[str, Any]

INTRODUCTION = """# Scoreboard

`make scoreboard` makes this page: known faults, one at a time, in artifacts that are otherwise
good, and whether the validator names the layer that carries the fault. The faults are injected into
the files, or into the conversion (`→ onnx`: one operator is lowered with a wrong argument), by
benchmarks/faults; the validator is the one that `driftbridge validate` runs, and knows nothing of
them.

- **Top-1**: the first layer that fails when it is run alone is one of the fault's (if none fails
  alone: the first that fails at all). A fault has several layers where the file fuses them.
- **Top-3**: it is, or one of the fault's layers is among the three with the largest isolated ratio.
- **Caught**: something failed.
- Only faults that matter are counted: the good and the faulted file, side by side in the native
  runtime, differ at the fault by more than 2^-18 of RMS; in a file of integers by more than three
  times what quantization costs there (the good file against the float one, or the rounding of the
  tensor). Sites where they do not are counted apart.
- **False alarms**: layers of the good files with a warning or a failure.

`tflite-int8` are the TFLite files quantized by ai-edge-quantizer, weights and activations to 8 bits
(`tflite-int16`: activations to 16; `tflite-dynamic` and `tflite-weights`: weights alone, and
multiplied with integers or floats), calibrated on 64 samples drawn like the 16 that they are judged
on. The edges of what an input can be (all zeros, the greatest value everywhere) are not among
these: the quantizer's ranges are averages, which do not hold them. The validator finds the layers
by itself, once in each good file. `tflite-float16` are files of this program whose weights are
float16; they carry no faults, and show how far good layers are below those limits.
"""


def page(records: Sequence[Record], rejected: Sequence[Record], refused: Sequence[Record]) -> str:
    """Return the page in Markdown."""
    faults = [each for each in records if "alarms" not in each]
    good = [each for each in records if "alarms" in each]
    parts = [INTRODUCTION, *_summary(faults, good, rejected)]
    parts += ["\n## By format\n", *_table("format", faults, lambda each: each["format"])]
    parts += ["\n## By kind\n", *_by_kind(faults)]
    parts += ["\n## By model\n", *_table("model", faults, lambda each: each["model"])]
    parts += ["\n## Misses\n", *_misses(faults)]
    parts += ["\n## False alarms\n", *_alarms(good)]
    parts += ["\n## Calibration\n", *_calibration(faults, good)]
    parts += ["\n## Models without a quantized file\n", *_refused(refused)]
    parts += ["\n## Faults\n", *_rows(faults)]
    return "\n".join(parts) + "\n"


def document(records: Sequence[Record]) -> str:
    """Return the same as JSON."""
    faults = [each for each in records if "alarms" not in each]
    good = [each for each in records if "alarms" in each]
    return json.dumps(
        {
            "faults": len(faults),
            "caught": _share(faults, "caught"),
            "top1": _share(faults, "top1"),
            "top3": _share(faults, "top3"),
            "false_alarms": _false_alarms(good),
            "rows": faults,
            "good": good,
        },
        indent=1,
        ensure_ascii=False,
    )


def line(records: Iterable[Record]) -> str:
    """Return what came of one model in one line."""
    faults = [each for each in records if "alarms" not in each]
    good = [each for each in records if "alarms" in each]
    hits = sum(each["top1"] for each in faults)
    alarms = sum(len(each["alarms"]) for each in good)
    return f"{hits} of {len(faults)} named; {alarms} alarms on the good files"


def _summary(
    faults: Sequence[Record], good: Sequence[Record], rejected: Sequence[Record]
) -> list[str]:
    reasons = Counter(each["reason"] for each in rejected)
    used = len({each["model"] for each in faults})
    return [
        "| | |",
        "|---|---|",
        f"| faults | {len(faults)} of {len({each['kind'] for each in faults})} kinds, "
        f"in {used} models of {len(models())} |",
        f"| caught | {_percent(_share(faults, 'caught'))} |",
        f"| top-1 | {_percent(_share(faults, 'top1'))} |",
        f"| top-3 | {_percent(_share(faults, 'top3'))} |",
        f"| false alarms | {_percent(_false_alarms(good))} of "
        f"{sum(each['judged'] for each in good)} layers of {len(good)} good files |",
        f"| inputs | {SAMPLES} for each model |",
        f"| sites tried that are no faults | {reasons['no effect']} without effect, "
        f"{reasons['does not run']} that do not run or change a shape |",
    ]


def _table(title: str, faults: Sequence[Record], of: Callable[[Record], str]) -> list[str]:
    rows = [f"| {title} | faults | caught | top-1 | top-3 |", "|---|---|---|---|---|"]
    for value in dict.fromkeys(map(of, faults)):
        some = [each for each in faults if of(each) == value]
        rows.append(
            f"| {value} | {len(some)} | "
            + " | ".join(_percent(_share(some, each)) for each in ("caught", "top1", "top3"))
            + " |"
        )
    return rows


def _by_kind(faults: Sequence[Record]) -> list[str]:
    formats = list(dict.fromkeys(each["format"] for each in faults))
    rows = [
        "Top-1 hits of faults.\n",
        f"| kind | what is wrong | {' | '.join(formats)} |",
        "|---|---|" + "---|" * len(formats),
    ]
    for kind in KINDS:
        cells = []
        for format_ in formats:
            some = [e for e in faults if e["kind"] == kind.name and e["format"] == format_]
            cells.append(f"{sum(each['top1'] for each in some)} of {len(some)}" if some else "–")
        rows.append(f"| {kind.name} | {kind.about} | {' | '.join(cells)} |")
    return rows


def _misses(faults: Sequence[Record]) -> list[str]:
    missed = [each for each in faults if not each["top1"]]
    if not missed:
        return ["None."]
    rows = ["| kind | model | format | site | rank | why |", "|---|---|---|---|---|---|"]
    return rows + [
        f"| {each['kind']} | {each['model']} | {each['format']} | {_text(each['label'])} | "
        f"{each['rank'] or '–'} | {_text(each['why'])} |"
        for each in missed
    ]


def _alarms(good: Sequence[Record]) -> list[str]:
    rows = ["| format | good files | layers | alarms | share |", "|---" * 5 + "|"]
    for format_ in dict.fromkeys(each["format"] for each in good):
        some = [each for each in good if each["format"] == format_]
        rows.append(
            f"| {format_} | {len(some)} | {sum(each['judged'] for each in some)} | "
            f"{sum(len(each['alarms']) for each in some)} | {_percent(_false_alarms(some))} |"
        )
    listed = [
        f"| {each['model']} | {each['format']} | {alarm['layer']} | {alarm['verdict']} | "
        f"{_number(alarm['isolated'])} | {alarm['accumulated_verdict']} | "
        f"{_number(alarm['accumulated'])} |"
        for each in good
        for alarm in each["alarms"]
    ]
    if not listed:
        return [*rows, "", "None."]
    header = "| model | format | layer | alone | ratio | accumulated | ratio |"
    return [*rows, "", header, "|---" * 7 + "|", *listed]


def _calibration(faults: Sequence[Record], good: Sequence[Record]) -> list[str]:
    """Ratios of good layers and isolated ones of seeded layers, between which the limits lie."""
    precisions = {each["format"]: each["precision"] for each in good}
    formats = list(dict.fromkeys(each["format"] for each in good))
    rows = [
        "Drift ratios. A limit is right if hardly any good layer is above it, and hardly any "
        "seeded one below. A layer is judged by the interval of its ratio, and only fails by its "
        "accumulated one if the SQNR is low too.\n",
        "| layers | ratio | format | number | median | 95 % | 99 % | largest | above | above |",
        "|---" * 10 + "|",
    ]
    for key, title in (("ratios", "isolated"), ("accumulated", "accumulated")):
        for format_ in formats:
            ratios = sorted(r for each in good if each["format"] == format_ for r in each[key])
            limits = THRESHOLDS[precisions[format_]]
            rows.append(_spread(f"good | {title} | {format_}", ratios, limits))
    seeded = [each for each in faults if each["ratio"] is not None]
    for format_ in dict.fromkeys(each["format"] for each in seeded):
        ratios = sorted(float(each["ratio"]) for each in seeded if each["format"] == format_)
        limits = THRESHOLDS[precisions.get(target_of(format_), "float32")]
        rows.append(_spread(f"seeded | isolated | {format_}", ratios, limits))
    rows.append("")
    for title, wanted in (("floats", False), ("integers", True)):
        some = [each for each in seeded if (each["format"] == INT8) == wanted]
        weakest = sorted(float(each["ratio"]) for each in some)[:5]
        listed = ", ".join(f"{ratio:.3g}" for ratio in weakest) or "none"
        rows.append(f"The weakest seeded layers of {title}: {listed}.")
    return rows


def _spread(title: str, ratios: Sequence[float], limits: Thresholds) -> str:
    def at(share: float) -> str:
        return f"{ratios[min(len(ratios) - 1, int(share * len(ratios)))]:.3g}" if ratios else "–"

    above = [
        f"{limit:g}: {sum(ratio > limit for ratio in ratios)}"
        for limit in (limits.warn_ratio, limits.fail_ratio)
    ]
    return (
        f"| {title} | {len(ratios)} | {at(0.5)} | {at(0.95)} | {at(0.99)} | {at(1)} | "
        f"{above[0]} | {above[1]} |"
    )


def _refused(refused: Sequence[Record]) -> list[str]:
    """What the quantizer does not make, in its own words, and what it spoils."""
    if not refused:
        return ["None."]
    many, few = COLLAPSED
    rows = [
        "What ai-edge-quantizer says, what LiteRT says of its file, or where the file differs from "
        f"the float one by more than {100 * SPOILT:.0f} % of RMS, or has no more than {few} values "
        f"left of more than {many}: such a file is no good one to begin with. (A mask that adds "
        "-1e30 to scores takes the whole range of the sum's integers: all scores are the same.)\n",
        "| model | format | why |",
        "|---|---|---|",
    ]
    return rows + [
        f"| {each['model']} | {each['format']} | {_text(each['why'])} |" for each in refused
    ]


def _rows(faults: Sequence[Record]) -> list[str]:
    rows = [
        "Effect: relative RMS at the fault. Ratio: isolated drift ratio of the fault's layer.\n",
        "| kind | model | format | site | layers | effect | ratio | verdict | rank | named |",
        "|---" * 10 + "|",
    ]
    return rows + [
        f"| {each['kind']} | {each['model']} | {each['format']} | {_text(each['label'])} | "
        f"{', '.join(each['layers'])} | {_number(each['effect'])} | {_number(each['ratio'])} | "
        f"{each['verdict']} | {each['rank'] or '–'} | "
        f"{'yes' if each['top1'] else each['blamed'] or 'no'} |"
        for each in faults
    ]


def _share(records: Sequence[Record], key: str) -> float | None:
    return sum(bool(each[key]) for each in records) / len(records) if records else None


def _false_alarms(good: Sequence[Record]) -> float | None:
    judged = sum(each["judged"] for each in good)
    return sum(len(each["alarms"]) for each in good) / judged if judged else None


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.1f} %"


def _number(value: Any) -> str:
    if value is None:
        return "–"
    return "∞" if value == "inf" else f"{float(value):.2g}"


def _text(text: str) -> str:
    return text.replace("|", "\\|")
