"""Which faults are seeded: for each kind and format a few sites that matter, spread over models."""

from __future__ import annotations

import math
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any

import numpy as np

from . import effects
from .edits import INT8, TFLITE, FaultKind
from .formats import CARRIERS, opened, target_of
from .kinds import KINDS, kind_named
from .models import Subject
from .sites import FaultyFile, Injected, Site, inject, seeded_layers

PER_KIND_AND_FORMAT = 3
_MOST_TRIALS = 12  # sites of one model that are tried for one kind
# a conversion costs seconds, a file's edit nothing
_PER_KIND_AND_CONVERSION, _TRIALS_OF_CONVERSIONS = 1, 2


@dataclass(frozen=True, kw_only=True)
class Fault:
    """A fault that was seeded.

    Attributes:
        kind: Name of its kind.
        model: Name of the model.
        format: What carries it: the format of the file, or ``→ FORMAT`` for a conversion to it.
        operator: Place of the operator in the file.
        edit: Place of the edit among those of the kind in this format.
        label: The site for people.
        layers: The spine's layers that carry it.
        effect: Relative RMS by which the tensor at which it first shows differs.
    """

    kind: str
    model: str
    format: str
    operator: int
    edit: int
    label: str
    layers: tuple[str, ...]
    effect: float

    @property
    def name(self) -> str:
        """What tells it from all others."""
        return f"{self.kind}|{self.model}|{self.format}|{self.operator}|{self.edit}"

    def to_json(self) -> dict[str, Any]:
        """Return it as plain JSON data."""
        return {
            **vars(self),
            "layers": list(self.layers),
            "effect": self.effect if math.isfinite(self.effect) else "inf",
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Fault:
        """Rebuild a fault from what ``to_json`` returned."""
        return cls(**{**data, "layers": tuple(data["layers"]), "effect": float(data["effect"])})


@dataclass(frozen=True, kw_only=True)
class Rejected:
    """A site that was tried and is no fault.

    Attributes:
        kind: Name of the kind.
        model: Name of the model.
        format: Format of the file.
        label: The site for people.
        reason: ``no effect`` or ``does not run``.
    """

    kind: str
    model: str
    format: str
    label: str
    reason: str


class Seeder:
    """Finds the faults of one model and injects them.

    Args:
        subject: The converted model.
    """

    def __init__(self, subject: Subject) -> None:
        self.subject = subject
        self._files: dict[str, FaultyFile] = {}
        self._good: dict[tuple[str, tuple[str, ...]], Any] = {}

    def faults(self, kind: FaultKind, format_: str, rejected: list[Rejected]) -> Iterator[Fault]:
        """Yield faults of a kind in an order that the seed gives, each one checked to matter."""
        if target_of(format_) not in self.subject.artifacts:
            return
        file = self._file(format_)
        order = np.random.default_rng(_seed(kind.name, self.subject.model, format_))
        places = self.subject.artifacts[target_of(format_)].layer_map
        converted = format_ != target_of(format_)
        trials = _TRIALS_OF_CONVERSIONS if converted else _MOST_TRIALS * (1 + kind.rare)
        for site in islice(file.sites(kind, order), trials):
            tensors = file.seeded(site.operator, places)
            layers = seeded_layers(tensors, places)
            if not layers:
                continue
            fault = Fault(
                kind=kind.name,
                model=self.subject.model,
                format=format_,
                operator=site.operator.index,
                edit=file.edits(kind).index(site.edit),
                label=site.label,
                layers=layers,
                effect=0.0,
            )
            readers = [each for each in file.operators if set(each.inputs) & set(tensors)]
            later = [each for reader in readers for each in reader.outputs if kind.rare]
            found = self._effect(fault, tensors, tuple(dict.fromkeys((*tensors, *later))))
            if isinstance(found, float):
                yield Fault(**{**vars(fault), "effect": found})
            else:
                rejected.append(
                    Rejected(
                        kind=kind.name, model=self.subject.model, format=format_,
                        label=site.label, reason=found,
                    )
                )  # fmt: skip

    def injected(self, fault: Fault) -> Injected:
        """Return the file with a fault."""
        kind = kind_named(fault.kind)
        file = self._file(fault.format)
        site = Site(
            kind=kind.name,
            edit=file.edits(kind)[fault.edit],
            operator=file.operators[fault.operator],
            label=fault.label,
        )
        read = partial(opened, self.subject, fault.format)
        return inject(read, site, _seed(fault.name))

    def refused(self) -> list[dict[str, str]]:
        """Return the formats that the model has no file of, and why."""
        return [
            {"model": self.subject.model, "format": format_, "why": why}
            for format_, why in self.subject.refused.items()
        ]

    def _file(self, format_: str) -> FaultyFile:
        if format_ not in self._files:
            self._files[format_] = opened(self.subject, format_)
        return self._files[format_]

    def _effect(
        self, fault: Fault, tensors: tuple[str, ...], watched: tuple[str, ...]
    ) -> float | str:
        """The effect of a fault, or why it is none.

        Args:
            fault: The fault.
            tensors: Where it first shows.
            watched: These, and more at which a rare NaN may be seen.
        """
        artifact = self.subject.artifacts[target_of(fault.format)]
        given = self.subject.source.signature.inputs, self.subject.samples_of(fault.format)
        key = (fault.format, watched)
        if key not in self._good:
            content = artifact.path.read_bytes()
            self._good[key] = effects.run(artifact, content, *given, watched)
        good = self._good[key]
        try:
            injected = self.injected(fault)
        except ValueError:  # a conversion that fails is no wrong artifact
            return "does not run"
        names = [injected.renamed.get(each, each) for each in watched]
        try:
            made = effects.run(injected.artifact(artifact), injected.content, *given, names)
        except Exception:  # noqa: BLE001 - each runtime has errors of its own
            return "does not run"
        bad = dict(zip(watched, made.values(), strict=True))
        found = effects.effect({each: good[each] for each in tensors}, bad)
        if math.isnan(found):
            return "does not run"
        if kind_named(fault.kind).rare and not 0 < effects.share_of_nonfinite(bad) < 1:
            return "no effect"
        least = effects.least(
            artifact, {each: good[each] for each in tensors}, self._floats(fault.format, tensors)
        )
        return found if found > least else "no effect"

    def _floats(self, format_: str, tensors: tuple[str, ...]) -> dict[str, Any]:
        """Those tensors of a quantized file that the float file has, as that one computes them."""
        subject = self.subject
        float_file = subject.artifacts[TFLITE]
        if format_ != INT8:
            return {}
        known = {each for operator in self._file(TFLITE).operators for each in operator.outputs}
        names = tuple(each for each in tensors if each in known)
        key = (f"{TFLITE} beside {format_}", names)
        if names and key not in self._good:
            self._good[key] = effects.run(
                float_file,
                float_file.path.read_bytes(),
                subject.source.signature.inputs,
                subject.samples_of(format_),
                names,
            )
        return self._good[key] if names else {}


def choose(
    subjects: Mapping[str, Seeder],
    count: int = PER_KIND_AND_FORMAT,
    say: Callable[[str], None] = lambda text: None,
) -> tuple[list[Fault], list[Rejected]]:
    """Choose the faults of the scoreboard.

    For each kind and format the models take turns, those with the fewest faults first.

    Args:
        subjects: Model → its seeder.
        count: Faults for each kind and format.
        say: Called with a line for each kind.

    Returns:
        The faults, and what was tried and is none.
    """
    chosen: list[Fault] = []
    rejected: list[Rejected] = []
    of_model: Counter[str] = Counter()
    for kind in KINDS:
        for format_ in CARRIERS:
            offers = {
                name: seeder.faults(kind, format_, rejected) for name, seeder in subjects.items()
            }
            found: list[Fault] = []
            most = count if format_ == target_of(format_) else _PER_KIND_AND_CONVERSION
            while offers and len(found) < most:
                used = Counter(each.model for each in found)
                name = min(offers, key=lambda each: (used[each], of_model[each]))
                fault = next(offers[name], None)
                if fault is None:
                    del offers[name]
                else:
                    found.append(fault)
                    of_model[name] += 1
            chosen += found
        say(f"{kind.name}: {sum(each.kind == kind.name for each in chosen)} faults")
    return chosen, rejected


def _seed(*words: str) -> int:
    return zlib.crc32("|".join(words).encode())
