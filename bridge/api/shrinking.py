"""The smallest part of a captured program on which a conversion still fails the same way."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..converters._capture import capture
from ..errors import BridgeError, ConversionError, SourceError, UsageError
from ..formats import EXPORTED, TORCH
from ..live import LiveModel
from ..planning import Route
from ..program_file import extra_files, load_program_file
from ..sources import Source, open_artifact
from ..worker import WorkPool
from .execution import Execution
from .failures import Failure, first_failure
from .pieces import CutProgram, Piece, Unit
from .plug_ins import import_operators

if TYPE_CHECKING:
    import torch

_SUSPECTS = 8  # operators that a message names, tried alone
_SECONDS = 900.0


@dataclass(frozen=True, kw_only=True)
class Shrunk:
    """The smallest part that was found.

    Attributes:
        failure: How it fails; the whole program does the same.
        route: The hops from the captured program to the one that fails.
        piece: The part.
        total: Number of operators of the whole program.
        trials: Parts that were converted on the way.
        minimal: Whether the part converts, or fails otherwise, without any one of its operators;
            ``False`` if the time was over before that was known.
    """

    failure: Failure
    route: Route
    piece: Piece
    total: int
    trials: int
    minimal: bool


def shrink(
    program: Path,
    route: Route,
    failure: Failure | None = None,
    *,
    pool: WorkPool,
    scratch: Path,
    options: Mapping[str, Any] | None = None,
    inputs: Sequence[torch.Tensor] | None = None,
    seconds: float = _SECONDS,
    say: Callable[[str], None] = lambda text: None,
) -> Shrunk:
    """Reduce a captured program to the operators without which a conversion does not fail.

    The program is cut at tensors; what flows into a part are the values of the whole program on its
    example inputs. Every part is captured anew and taken along the route, where native hops run in
    workers with limits. A part counts if the same hop fails at the same stage with the same symptom
    and message.

    Args:
        program: File of the captured program (``.pt2``).
        route: The hops, from the captured program (or from a live module) to the one that fails.
        failure: The failure to look for; by default that of the whole program.
        pool: Where the hops run.
        scratch: Folder for files.
        options: The options of the hops.
        inputs: Tensor inputs of the program; its own example inputs by default.
        seconds: When to stop looking, with the smallest part so far.
        say: Called with lines of progress.

    Raises:
        ConversionError: The whole program, cut out like its parts, does not fail that way.
    """
    import_operators()
    whole = CutProgram.of(load_program_file(program), inputs)
    search = _Search(
        whole=whole,
        route=route,
        failure=failure,
        pool=pool,
        scratch=scratch,
        options=options or {},
        end=time.monotonic() + seconds,
        say=say,
    )
    search.settle_failure()
    assert search.failure is not None
    units, minimal = search.run()
    return Shrunk(
        failure=search.seen[frozenset(units)],
        route=route,
        piece=whole.piece(units),
        total=len(whole.units),
        trials=len(search.tried),
        minimal=minimal,
    )


class _TimeIsOverError(Exception):
    """The search has to end with what it has."""


@dataclass(kw_only=True)
class _Search:
    """Delta debugging over the units of a program (Zeller and Hildebrandt, 2002)."""

    whole: CutProgram
    route: Route
    failure: Failure | None
    pool: WorkPool
    scratch: Path
    options: Mapping[str, Any]
    end: float
    say: Callable[[str], None]
    tried: dict[frozenset[Unit], bool] = field(default_factory=dict)
    seen: dict[frozenset[Unit], Failure] = field(default_factory=dict)
    smallest: tuple[Unit, ...] = ()

    def settle_failure(self) -> None:
        """Convert the whole program, and hold what it does against what is looked for."""
        self.smallest = self.whole.units
        actual = self._convert(self.whole.units)
        if actual is None:
            raise ConversionError(
                "the captured program converts when its sizes are fixed and its values are those "
                "of the example inputs: there is nothing to reduce",
                hint="convert with inputs of fixed sizes (no ?) to see whether that is the cause",
            )
        if self.failure is not None and not self.failure.same(actual):
            raise ConversionError(
                f"{self.failure.hop} failed with “{_first_line(self.failure)}”; with the captured "
                f"program alone {actual.hop} fails with “{_first_line(actual)}”",
                hint="convert again, and then blame that result",
            )
        self.failure = actual
        everything = frozenset(self.whole.units)
        self.tried[everything], self.seen[everything] = True, actual

    def run(self) -> tuple[tuple[Unit, ...], bool]:
        """Return the smallest set of units that was found, and whether each of it is needed."""
        try:
            if self._suspect_alone():
                return self.smallest, True
            self._halve(front=False)
            self._halve(front=True)
            self._drop_chunks()
        except _TimeIsOverError:
            return self.smallest, False
        return self.smallest, True

    def _suspect_alone(self) -> bool:
        """Try the operators that the message names, each alone: often that is all."""
        assert self.failure is not None
        words = self.failure.message
        named = [
            unit
            for unit in self.whole.units
            if unit.op in words or f"{unit.id!r}" in words or (unit.source and unit.source in words)
        ]
        by_operator = {unit.op: unit for unit in named}
        return any(self._fails([unit]) for unit in list(by_operator.values())[:_SUSPECTS])

    def _halve(self, *, front: bool) -> None:
        """Find the last operator that is needed by bisection, or the first."""
        units = self.smallest
        least, most = 0, len(units)  # as many do, and so few do not
        while most - least > 1:
            middle = (least + most) // 2
            part = units[len(units) - middle :] if front else units[:middle]
            if self._fails(part):
                most = middle
            else:
                least = middle

    def _drop_chunks(self) -> None:
        """Leave out chunks, of half the units at first and of single ones at last."""
        size = max(1, len(self.smallest) // 2)
        while True:
            dropped = False
            start = 0
            while start < len(self.smallest) and len(self.smallest) > 1:
                units = self.smallest
                if self._fails(units[:start] + units[start + size :]):
                    dropped = True
                else:
                    start += size
            if size == 1 and not dropped:
                return
            size = max(1, min(size // 2, len(self.smallest) // 2))

    def _fails(self, units: Sequence[Unit]) -> bool:
        """Whether a part fails the same way; then it is the smallest so far."""
        assert self.failure is not None
        part = tuple(units)
        key = frozenset(part)
        if not part:
            return False
        if key not in self.tried:
            if time.monotonic() > self.end:
                raise _TimeIsOverError
            self.say(f"trying {len(part)} of {len(self.whole.units)} operators")
            actual = self._convert(part)
            self.tried[key] = actual is not None and self.failure.same(actual)
            if actual is not None and self.tried[key]:
                self.seen[key] = actual
        if self.tried[key] and len(part) < len(self.smallest):
            self.smallest = part
        return self.tried[key]

    def _convert(self, units: Sequence[Unit]) -> Failure | None:
        """Take a part along the route; ``None`` if it converts or cannot be captured by itself."""
        folder = Path(tempfile.mkdtemp(prefix="part-", dir=self.scratch))
        try:
            source = piece_source(self.whole.piece(units), self.route, folder)
            execution = piece_execution(source, self.pool, folder, self.options)
            outcomes = execution.follow(self.route).outcomes
        except (SourceError, UsageError):
            return None  # what was asked of the whole cannot be asked of this part
        except BridgeError:
            raise
        except Exception:  # noqa: BLE001 - a part that torch.export does not take is no part
            return None
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        found = first_failure(self.route.hops, outcomes)
        return found[1] if found else None


def piece_source(piece: Piece, route: Route, folder: Path) -> Source:
    """Return a piece as what a route begins at: a captured program in a file, or a live module."""
    import torch

    inputs = tuple(piece.inputs.values())
    if route.source == TORCH:
        return Source(text="a part", live=LiveModel(module=piece.module, args=inputs))
    file = folder / EXPORTED.filename
    program = capture(piece.module, inputs, {})
    torch.export.save(program, file, extra_files=extra_files(program))
    return Source(text="a part", artifact=open_artifact(file))


def piece_execution(
    source: Source, pool: WorkPool, folder: Path, options: Mapping[str, Any]
) -> Execution:
    """Return the execution of hops on a piece; nothing of it is kept or taken from elsewhere."""
    return Execution(source=source, pool=pool, scratch=folder, options=options)


def _first_line(failure: Failure) -> str:
    return failure.message.strip().splitlines()[0] if failure.message.strip() else failure.symptom
