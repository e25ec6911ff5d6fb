"""Recurrent layers over sequences."""

from __future__ import annotations

from typing import Any

import torch

from . import Row, const, f32

GATES = {"lstm": 4, "gru": 3, "rnn_tanh": 1, "rnn_relu": 1}
SIZE, HIDDEN = 4, 6


def layers(
    kind: str,
    steps: int,
    batch: int = 2,
    *,
    count: int = 1,
    both: bool = False,
    biases: bool = True,
    batch_first: bool = False,
    projection: int = 0,
    zeros: bool = False,
    live: bool = False,
    dropout: float = 0.0,
    train: bool = False,
    **options: Any,
) -> Row:
    """A row of a layer's operator; ``zeros`` for constant initial states, else they are inputs."""
    directions, out = 2 if both else 1, projection or HIDDEN
    params: list[Any] = []
    for layer in range(count):
        for way in range(directions):
            size = out * directions if layer else SIZE
            shapes = [(GATES[kind] * HIDDEN, size), (GATES[kind] * HIDDEN, out)]
            shapes += [(GATES[kind] * HIDDEN,)] * 2 if biases else []
            shapes += [(projection, HIDDEN)] if projection else []
            params += [
                f32(*shape, low=-0.5, high=0.5, seed=10 * layer + way + place)
                for place, shape in enumerate(shapes)
            ]
    params = params if live else [const(param) for param in params]
    states = [f32(count * directions, batch, out)]
    if kind == "lstm":
        states.append(f32(count * directions, batch, HIDDEN, seed=1))
    if zeros:
        states = [const(0 * state) for state in states]
    x = f32(*((batch, steps) if batch_first else (steps, batch)), SIZE)
    arguments = (params, biases, count, dropout, train, both, batch_first)
    return Row(
        f"aten.{kind}.input", x, states if kind == "lstm" else states[0], *arguments, **options
    )


def inputs(row: Row, steps: int, batch: int, *, batch_first: bool = False) -> list[torch.Tensor]:
    """Further inputs of a row, of other sizes."""
    x = f32(*((batch, steps) if batch_first else (steps, batch)), SIZE, seed=5)
    states = row.args[1] if isinstance(row.args[1], list) else [row.args[1]]
    return [
        x,
        *(
            f32(state.shape[0], batch, state.shape[2], seed=6)
            for state in states
            if isinstance(state, torch.Tensor)
        ),
    ]


def changing(row: Row, axes: dict[int, list[int]], *sizes: tuple[int, int], **options: Any) -> Row:
    """Let axes of a row's inputs change, and try it at (steps, batch)."""
    row.dynamic = axes
    row.also = [inputs(row, *each, **options) for each in sizes]
    return row


class Tagger(torch.nn.Module):
    """Two layers in both directions that start from zeros of the batch's size."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = torch.nn.LSTM(SIZE, HIDDEN, 2, bidirectional=True, batch_first=True)
        self.gru = torch.nn.GRU(2 * HIDDEN, HIDDEN, batch_first=True)

    def forward(self, x: torch.Tensor) -> Any:
        x, states = self.lstm(x)
        return (*self.gru(x), *states)


tagger = Tagger().eval().requires_grad_(False)
one_sequence = torch.nn.LSTM(SIZE, HIDDEN).eval().requires_grad_(False)

STATES = {0: [0, 1], 1: [1], 2: [1]}
STATES_OF_ONE = {0: [0, 1], 1: [1]}

ROWS = [
    *(
        layers(kind, steps, both=both, label=f"{steps} {both}")
        for kind in GATES
        for steps in (1, 3, 12)
        for both in (False, True)
    ),
    *(layers(kind, 12, count=3, label="three layers") for kind in GATES),
    *(layers(kind, 12, count=2, zeros=True, biases=False, label="stacked") for kind in GATES),
    *(layers(kind, 33, batch=1, count=2, batch_first=True, label="stacked") for kind in GATES),
    layers("lstm", 12, count=3, projection=5, label="stacked, projection"),
    layers("gru", 100, count=2, label="stacked, uneven blocks"),
    layers("lstm", 97, count=2, zeros=True, label="stacked, even blocks"),
    layers("gru", 13, count=6, label="stacked, six layers"),
    layers("gru", 9, count=9, label="as many layers as steps"),
    changing(layers("gru", 12, count=2, label="stacked, batch"), {0: [1], 1: [1]},
             (12, 5), (12, 1)),
    changing(layers("lstm", 97, count=2, label="stacked, batch"), {0: [1], 1: [1], 2: [1]},
             (97, 5), (97, 1)),
    changing(layers("gru", 12, count=2, label="stacked, both"), STATES_OF_ONE, (5, 1), (70, 3)),
    *(layers(kind, 12, count=2, both=True, batch_first=True, label="tagger") for kind in GATES),
    *(layers(kind, 10, biases=False, both=True, label="no biases") for kind in GATES),
    *(layers(kind, 10, zeros=True, label="zeros") for kind in GATES),
    *(layers(kind, 3, zeros=True, both=True, label="zeros") for kind in GATES),
    layers("lstm", 3, projection=5, label="projection"),
    layers("lstm", 12, projection=5, label="projection"),
    layers("lstm", 12, projection=5, both=True, count=2, biases=False, label="projection"),
    layers("lstm", 1, batch=1, batch_first=True, label="one step"),
    layers("lstm", 12, batch=1, batch_first=True, label="one sequence"),
    layers("lstm", 100, both=True, label="even blocks"),
    layers("gru", 97, count=2, both=True, label="uneven blocks"),
    layers("rnn_tanh", 128, batch=1, label="even blocks"),
    layers("lstm", 131, batch_first=True, zeros=True, label="uneven blocks"),
    changing(layers("lstm", 3, label="batch"), {0: [1], 1: [1], 2: [1]}, (3, 5), (3, 1)),
    changing(layers("lstm", 12, both=True, count=2, label="batch"), {0: [1], 1: [1], 2: [1]},
             (12, 5), (12, 1)),
    changing(layers("gru", 100, label="batch"), {0: [1], 1: [1]}, (100, 5), (100, 1)),
    changing(layers("lstm", 97, both=True, label="batch"), {0: [1], 1: [1], 2: [1]}, (97, 5)),
    Row("aten.lstm.input", f32(3, 12, SIZE), call=tagger, label="module"),
    Row("aten.lstm.input", f32(12, SIZE), call=one_sequence, label="rank 2"),
    Row("aten.lstm.input", f32(3, 12, SIZE), call=tagger, label="module",
        dynamic={0: [0]}, also=[[f32(1, 12, SIZE)], [f32(5, 12, SIZE)]]),
    layers("lstm", 3, live=True, unsupported="params=computed at run time"),
    layers("gru", 3, count=2, dropout=0.5, train=True, unsupported="dropout=0.5"),
    layers("gru", 3, count=2, dropout=0.5, label="dropout that is off"),
    changing(layers("gru", 12, both=True, zeros=True, batch=2, label="steps"), {0: [0]},
             (5, 2), (33, 2), (64, 2), (2, 2)),
    changing(layers("gru", 12, both=True, label="both"), STATES, (5, 1), (70, 3)),
    changing(layers("lstm", 12, both=True, count=2, label="both"), STATES,
             (5, 1), (70, 3), (32, 4)),
    changing(layers("lstm", 12, batch_first=True, label="both"), STATES, (5, 1), (70, 3),
             batch_first=True),
    changing(layers("rnn_relu", 12, label="both"), STATES, (5, 1), (70, 3)),
    Row("aten.lstm.input", f32(3, 12, SIZE), call=tagger, label="module",
        dynamic={0: [0, 1]}, also=[[f32(1, 40, SIZE)], [f32(4, 5, SIZE)]]),
]  # fmt: skip
