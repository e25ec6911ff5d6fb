"""What a model of the zoo is, and how it is built: seeded, for inference, with no dead layer."""

from __future__ import annotations

import importlib.util
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

import torch

from .lively import enliven

Kind: TypeAlias = Literal["random", "structured"]
Group: TypeAlias = Literal["cnn", "transformer", "recurrent", "audio", "other"]
KINDS: tuple[Kind, ...] = ("random", "structured")


class MissingPackage(Exception):
    """A package that a model is from is not installed."""


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """What a model is called with.

    Attributes:
        args: Positional arguments.
        kwargs: Keyword arguments.
    """

    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Model:
    """One model of the zoo.

    Attributes:
        name: Unique name.
        group: Kind of network.
        source: Where it is from: a package, or ``own``.
        build: Makes the module, of random weights, in any mode.
        inputs: Makes its inputs: random ones, or structured ones of its domain.
        packages: Packages that building it imports, beside torch.
        extra: Whether it is beyond the list that every release is measured on.
    """

    name: str
    group: Group
    source: str
    build: Callable[[], torch.nn.Module]
    inputs: Callable[[Kind], Inputs]
    packages: Sequence[str] = ()
    extra: bool = False

    def missing(self) -> list[str]:
        """Return the packages that are not installed."""
        return [name for name in self.packages if importlib.util.find_spec(name) is None]

    def load(self) -> torch.nn.Module:
        """Build the module: the same weights in every process, in evaluation mode.

        Raises:
            MissingPackage: A package that it is from is not installed.
        """
        if self.missing():
            raise MissingPackage(f"{self.name} needs {', '.join(self.missing())}")
        torch.manual_seed(zlib.crc32(self.name.encode()))
        module = self.build().eval().requires_grad_(False)
        given = [self.inputs(kind) for kind in KINDS]
        enliven(module, [(each.args, each.kwargs) for each in given])
        return module
