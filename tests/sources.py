"""Models that a user might bring, good and bad; named on the command line by the tests."""

from __future__ import annotations

import torch
from torch import nn

# all of one sign: inputs drawn from its range hardly ever take the other path of a branch
X = (torch.linspace(0.5, 1.5, 8).reshape(2, 4),)


class Branch(nn.Module):
    """Its path depends on the values; it can be scripted."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Linear(4, 4)
        self.b = nn.Linear(4, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if x.sum() > 0:
            return self.a(x)
        return self.b(x) * 2


class UnscriptableBranch(Branch):
    """Its path depends on the values, and it cannot be scripted."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        choose = [lambda: self.a, lambda: self.b]
        return choose[int(x.sum().item() > 0)]()(x)


class Rare(nn.Module):
    """Two operators that ONNX does not have, one of them twice."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = torch.special.bessel_j0(x) + torch.special.bessel_j0(x + 1)
        return y + torch.special.airy_ai(x)


class Nested(nn.Module):
    """Keyword inputs, an optional one, and a nested result."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(50, 8)
        self.head = nn.Linear(8, 3)

    def forward(
        self, ids: torch.Tensor, mask: torch.Tensor | None = None, *, scale: torch.Tensor
    ) -> dict[str, torch.Tensor | tuple[torch.Tensor, torch.Tensor]]:
        states = self.embedding(ids)
        if mask is not None:
            states = states * mask[..., None]
        return {"logits": self.head(states.mean(1)), "states": (states, states * scale)}


class WithNone(nn.Module):
    """Returns what is no tensor beside what is."""

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, None, int]:
        return x * 2, None, 3


class Needs(nn.Module):
    """Cannot be made without an argument."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layer = nn.Linear(4, width)


class Raises(nn.Module):
    """Raises in its forward."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.view(3, 5, 7)


class Forever(nn.Module):
    """Does not end."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        while True:
            pass


def branch() -> tuple[nn.Module, tuple[torch.Tensor]]:
    torch.manual_seed(0)
    return Branch(), X


def unscriptable_branch() -> tuple[nn.Module, tuple[torch.Tensor]]:
    return UnscriptableBranch(), X


def rare() -> tuple[nn.Module, tuple[torch.Tensor]]:
    return Rare(), X


def nested() -> tuple[nn.Module, dict[str, torch.Tensor]]:
    torch.manual_seed(0)
    inputs = {"scale": torch.tensor(2.0), "ids": torch.randint(0, 50, (1, 6))}
    return Nested(), {**inputs, "mask": torch.ones(1, 6)}


def with_none() -> tuple[nn.Module, tuple[torch.Tensor]]:
    return WithNone(), X


def raises() -> tuple[nn.Module, tuple[torch.Tensor]]:
    return Raises(), X


def forever() -> tuple[nn.Module, tuple[torch.Tensor]]:
    return Forever(), X


def linear() -> nn.Module:
    torch.manual_seed(0)
    return nn.Linear(4, 3)


def broken() -> nn.Module:
    raise KeyError("my own mistake")


def not_a_module() -> int:
    return 7


def with_nan() -> tuple[nn.Module, tuple[torch.Tensor]]:
    layer = nn.Linear(4, 3)
    with torch.no_grad():
        layer.weight[1, 2] = float("nan")
    return layer, X
