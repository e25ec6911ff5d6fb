"""Hops: one conversion each, from a source format to a target format."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .artifact import Artifact, Signature
from .availability import Availability
from .errors import ConversionError
from .formats import Format
from .layers import LayerMap, Spine
from .outcome import Stage
from .registry import Registry
from .worker import WORKER, probe_place

EnterStage = Callable[[Stage], None]
Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class HopTask:
    """What a hop is given.

    Attributes:
        source: The artifact to convert; ``None`` for a hop that starts from a live module.
        out: Path to write the new artifact to; it lies in a scratch folder of this hop's own.
        options: The options that the hop declared and the user set.
        enter: To be called with a stage before it begins.
        say: To be called with a line of progress.
        spine: The layers of the source model, once a hop has defined them.
        examples: An npz file with one array per input, in the source's layout, to try the result
            on; ``None`` if there are no inputs.
        live: In process, the live form of the source (a ``LiveModel``, an ``ExportedProgram``, a
            ``ScriptModule``) or ``None``; always ``None`` in a worker.
    """

    source: Artifact | None
    out: Path
    options: Mapping[str, Any]
    enter: EnterStage
    say: Say
    spine: Spine | None = None
    examples: Path | None = None
    live: Any = None


@dataclass(frozen=True, kw_only=True)
class HopResult:
    """What a hop made, beside the file at ``HopTask.out``.

    Attributes:
        signature: Inputs and outputs of the new artifact.
        layer_map: Where the spine's layers are in it.
        producer_version: Version of the library that made it.
        spine: The spine, from a hop that defines one.
        notes: What the hop has to say about the artifact.
        precision: Precision of its numbers, by which it is judged: ``float32`` or ``float16``.
        live: Live form of the new artifact, for the next hop in the same process.
        sha256: Digest of the file, of a hop that made it while it wrote; else it is read again.
    """

    signature: Signature
    layer_map: LayerMap = field(default_factory=LayerMap)
    producer_version: str = ""
    spine: Spine | None = None
    notes: tuple[str, ...] = ()
    precision: str = "float32"
    live: Any = None
    sha256: str = ""


@dataclass(frozen=True, kw_only=True)
class Hop:
    """One conversion.

    Attributes:
        name: Unique name, such as ``onnx2tf``.
        title: What it does, in a few words.
        source: Format that it reads.
        target: Format that it writes; the same as ``source`` for a refinement (a simplifier), which
            routes apply on arrival at that format.
        convert: The conversion. It writes ``HopTask.out`` and raises on failure:
            ``UnsupportedError``, ``MismatchError`` or anything that the library raises.
        loss: How much of the source it may lose, 0 for nothing; the planner avoids this first.
        cost: Typical seconds for a small model; the planner avoids this second.
        place: Where it runs: ``IN_PROCESS``, ``WORKER`` or the name of a toolchain.
        packages: Distributions of our own environment that it needs.
        imports: Modules that take long to import, for its worker to import ahead of time.
        options: Names of the options that it takes.
        script: Lines of Python that do the same with the library alone, for reproductions of
            failures. They find ``program`` (of an exported source), ``module`` and ``inputs`` (of a
            live one) or ``source`` (a path, of any other), and ``options``. Empty if there is no
            such library but driftbridge.
    """

    name: str
    title: str
    source: Format
    target: Format
    convert: Callable[[HopTask], HopResult]
    loss: int = 0
    cost: float = 1.0
    place: str = WORKER
    packages: tuple[str, ...] = ()
    imports: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    script: str = ""

    @property
    def refines(self) -> bool:
        """Whether it improves a file within its format."""
        return self.source == self.target

    def probe(self) -> Availability:
        """Tell whether the hop can run here, without importing its framework."""
        return probe_place(self.place, self.packages)


HOPS: Registry[Hop] = Registry("hop", packages=("bridge.converters",), group="driftbridge.hops")


def register_hop(hop: Hop) -> Hop:
    """Add a hop to the converter graph; a name that is taken raises ``RegistryError``."""
    HOPS.register(hop.name, hop, home=hop.convert.__module__)
    return hop


def run_hop(arguments: Mapping[str, Any], enter: EnterStage, say: Say) -> dict[str, Any]:
    """Run a hop's conversion by reference; this is what crosses to a worker.

    Args:
        arguments: ``convert`` (``"module:name"``), ``source`` (an artifact as JSON, or ``None``),
            ``out``, ``options``, ``spine`` and ``examples``, and in process ``live``.
        enter: Called before a stage begins.
        say: Called with a line of progress.

    Returns:
        The result as JSON data; in process with the live object under ``"live"``.
    """
    import importlib

    module, _, name = arguments["convert"].partition(":")
    convert = getattr(importlib.import_module(module), name)
    source = arguments["source"]
    result: HopResult = convert(
        HopTask(
            source=Artifact.from_json(source) if source else None,
            out=Path(arguments["out"]),
            options=arguments["options"],
            enter=enter,
            say=say,
            spine=Spine.from_json(arguments["spine"]) if arguments.get("spine") else None,
            examples=Path(arguments["examples"]) if arguments.get("examples") else None,
            live=arguments.get("live"),
        )
    )
    out = Path(arguments["out"])
    if not out.exists():
        raise ConversionError(f"{name} of {module} wrote no {out.name}")
    answer = {
        "signature": result.signature.to_json(),
        "layer_map": result.layer_map.to_json(),
        "producer_version": result.producer_version,
        "spine": result.spine.to_json() if result.spine else None,
        "notes": list(result.notes),
        "precision": result.precision,
        "sha256": result.sha256,
    }
    if "live" in arguments:
        answer["live"] = result.live
    return answer


def reference_of(function: Callable[..., Any]) -> str:
    """Return ``"module:name"`` of a module-level function."""
    return f"{function.__module__}:{function.__qualname__}"
