"""What was measured, sample by sample, and the files that let a later run go on from it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

from ..histogram import Histogram
from ..metrics import Metrics


@dataclass(kw_only=True)
class LayerRecord:
    """One layer of one artifact in one runtime; lists have an entry for each sample.

    Attributes:
        accumulated: The whole artifact run through.
        isolated: The layer alone, fed the reference's own values; empty if that cannot be.
        noise: RMS error of each legitimate implementation, run through.
        isolated_noise: Likewise, of the layer alone.
        histogram: Spread of the isolated error on the first sample where it is more than noise.
        misfit: Why it cannot be compared, if its tensor has another shape.
    """

    accumulated: list[Metrics] = field(default_factory=list)
    isolated: list[Metrics] = field(default_factory=list)
    noise: list[list[float]] = field(default_factory=list)
    isolated_noise: list[list[float]] = field(default_factory=list)
    histogram: Histogram | None = None
    misfit: str = ""

    def extend(self, later: LayerRecord) -> None:
        """Add the samples of a later chunk."""
        self.accumulated += later.accumulated
        self.isolated += later.isolated
        self.noise = _joined(self.noise, later.noise)
        self.isolated_noise = _joined(self.isolated_noise, later.isolated_noise)
        self.histogram = self.histogram or later.histogram
        self.misfit = self.misfit or later.misfit


def _joined(first: list[list[float]], second: list[list[float]]) -> list[list[float]]:
    if not first or not second:
        return first or second
    return [[*one, *other] for one, other in zip(first, second, strict=True)]


def _plain(record: LayerRecord) -> dict[str, Any]:
    """A record as JSON data; ``asdict`` would copy every figure with care."""
    return {
        **vars(record),
        "accumulated": [vars(each) for each in record.accumulated],
        "isolated": [vars(each) for each in record.isolated],
        "histogram": record.histogram and record.histogram.to_json(),
    }


@dataclass(kw_only=True)
class TargetRecord:
    """What was measured of one artifact in one runtime.

    Attributes:
        layers: Layer → its figures.
        observer_effect: Whether showing the layers changed the outputs.
        isolation: Why layers could not be run alone; empty if they were.
        seconds: Time of the runs that showed the layers.
    """

    layers: dict[str, LayerRecord] = field(default_factory=dict)
    observer_effect: bool = False
    isolation: str = ""
    seconds: float = 0.0

    def extend(self, later: TargetRecord) -> None:
        """Add a later chunk."""
        for layer, record in later.layers.items():
            self.layers.setdefault(layer, LayerRecord()).extend(record)
        self.observer_effect |= later.observer_effect
        self.isolation = self.isolation or later.isolation
        self.seconds += later.seconds

    def to_json(self) -> dict[str, Any]:
        """Return the record as JSON data with Python's own spelling of infinity and NaN."""
        return {**vars(self), "layers": {name: _plain(each) for name, each in self.layers.items()}}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> TargetRecord:
        """Rebuild a record from what ``to_json`` returned."""
        layers = {
            name: LayerRecord(
                accumulated=[Metrics(**one) for one in each["accumulated"]],
                isolated=[Metrics(**one) for one in each["isolated"]],
                noise=each["noise"],
                isolated_noise=each["isolated_noise"],
                histogram=Histogram(**each["histogram"]) if each["histogram"] else None,
                misfit=each["misfit"],
            )
            for name, each in data["layers"].items()
        }
        return cls(**{**data, "layers": layers})


@dataclass(frozen=True, kw_only=True)
class RecordStore:
    """Records in a folder, so that an interrupted validation goes on where it was.

    Attributes:
        folder: The folder; ``None`` to keep nothing.
    """

    folder: Path | None = None

    def read(self, key: str) -> TargetRecord | None:
        """Return the record of a key, if there is one."""
        file = self._file(key)
        if file is None or not file.is_file():
            return None
        return TargetRecord.from_json(json.loads(file.read_text(encoding="utf-8")))

    def write(self, key: str, record: TargetRecord) -> None:
        """Keep a record; it is renamed into place, so that a half-written one is never read."""
        file = self._file(key)
        if file is None:
            return
        file.parent.mkdir(parents=True, exist_ok=True)
        aside = file.with_suffix(f".{os.getpid()}")
        aside.write_text(json.dumps(record.to_json()), encoding="utf-8")
        aside.replace(file)

    def _file(self, key: str) -> Path | None:
        return None if self.folder is None else self.folder / f"{key}.json"


def record_key(parts: Iterable[str]) -> str:
    """Return the name under which a record of these circumstances is kept."""
    digest = sha256()
    for part in parts:
        digest.update(f"{len(part)}:{part}".encode())
    return digest.hexdigest()[:32]
