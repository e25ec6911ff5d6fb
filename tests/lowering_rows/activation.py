"""Activation functions."""

import torch

from . import Row, const, f32, i64

EDGES = torch.tensor([0.0, -0.0, 0.5, -0.5, 1.0, -1.0, 3.0, -3.0, 6.0, 20.0, -20.0, 50.0, -50.0])
LARGE = torch.tensor([1e4, -1e4, 1e9, -1e9])
TAIL = f32(9, low=-30.0, high=-8.0)
NOT_A_NUMBER = torch.tensor([float("nan"), 1.0, -1.0])

EVERYWHERE = (
    "relu", "relu6", "hardtanh", "hardsigmoid", "hardswish", "sigmoid", "silu", "mish", "gelu",
    "elu", "celu", "selu", "leaky_relu", "softplus", "log_sigmoid", "softshrink",
    "hardshrink",
)  # fmt: skip

ROWS = [
    *(Row(f"aten.{name}", f32(2, 3, 4, low=-4.0, high=4.0)) for name in EVERYWHERE),
    *(Row(f"aten.{name}", EDGES, label="edges") for name in EVERYWHERE),
    *(Row(f"aten.{name}", f32(), label="0-d") for name in EVERYWHERE),
    *(Row(f"aten.{name}", LARGE, label="large") for name in EVERYWHERE),
    *(
        Row(f"aten.{name}", f32(2, 3), dynamic={0: [0]}, also=[[f32(5, 3)]])
        for name in ("relu", "silu", "gelu", "elu", "softplus")
    ),
    *(Row(f"aten.{name}", TAIL, label="tail") for name in ("softplus", "mish", "silu", "sigmoid")),
    *(
        Row(f"aten.{name}", NOT_A_NUMBER, label="not a number")
        for name in ("relu", "hardtanh", "relu6", "softplus", "softshrink", "hardshrink", "elu")
    ),
    Row("aten.relu", i64(2, 3)),
    Row("aten.relu", f32(2, 3), call=lambda x: torch.relu_(x + 1), label="in place"),
    Row("aten.relu6", i64(2, 3)),
    Row("aten.hardtanh", EDGES, 0.0, 6.0),
    Row("aten.hardtanh", EDGES, 0.0, 1.0),
    Row("aten.hardtanh", EDGES, -2.5, 0.5),
    Row("aten.gelu", f32(2, 3, 4), approximate="tanh"),
    Row("aten.elu", f32(2, 3, 4), 0.5),
    Row("aten.elu", f32(2, 3, 4), 1.5, 2.0, 0.5, label="all three"),
    Row("aten.elu", f32(2, 3, 4), 1, 1, -1, unsupported="input_scale=-1"),
    Row("aten.celu", f32(2, 3, 4), 2.5),
    Row("aten.celu", f32(2, 3, 4), -1.0, unsupported="alpha=-1.0"),
    Row("aten.leaky_relu", f32(2, 3, 4), 0.2),
    Row("aten.leaky_relu", f32(2, 3, 4), -1.5),
    Row("aten.rrelu", f32(2, 3, 4)),
    Row("aten.rrelu", f32(2, 3, 4), 0.1, 0.2),
    Row("aten.rrelu", f32(2, 3, 4), 0.1, 0.2, True, unsupported="training=True"),
    Row("aten.rrelu_with_noise_functional", f32(2, 3, 4), f32(2, 3, 4, seed=1), 0.1, 0.2),
    Row("aten.prelu", f32(2, 3, 4, 5), const(f32(3))),
    Row("aten.prelu", f32(2, 3), const(f32(3))),
    Row("aten.prelu", f32(2, 3, 4), const(f32(1))),
    Row("aten.prelu", f32(3), const(f32(1)), label="1-d"),
    Row("aten.prelu", f32(2, 3, 4), f32(3), label="computed weight"),
    Row("aten.prelu", f32(2, 3, 4), f32(1), label="computed weight"),
    Row("aten.prelu", f32(2, 3, 4), const(f32(3)), dynamic={0: [0]}, also=[[f32(5, 3, 4)]]),
    Row("aten._prelu_kernel", f32(2, 3, 4), const(f32(1, 3, 1))),
    Row("aten.softplus", EDGES, 2.0),
    Row("aten.softplus", EDGES, 0.5, 1.0),
    Row("aten.softplus", EDGES, 1, 5),
    Row("aten.log_sigmoid_forward", f32(2, 3, 4)),
    Row("aten.softshrink", EDGES, 1.5),
    Row("aten.hardshrink", EDGES, 1.0),
    Row("aten.threshold", EDGES, 0.5, 0.5),
    Row("aten.threshold", EDGES, 0, 0),
    Row("aten.threshold", EDGES, 0.5, -7.0),
    Row("aten.threshold", i64(2, 3), 1, 20),
    Row("aten.threshold", NOT_A_NUMBER, 0.5, -7.0, label="not a number"),
    Row("aten.glu", f32(2, 3, 4)),
    Row("aten.glu", f32(2, 6, 5), 1),
    Row("aten.glu", f32(4, 3), 0),
    Row("aten.glu", f32(2, 3, 4), dynamic={0: [0]}, also=[[f32(5, 3, 4)]]),
    Row("aten.special_expit", f32(2, 3)),
    Row("aten.sigmoid", i64(2, 3)),
]
