"""Cells of recurrent networks."""

from . import Row, const, f32

X, H, C = f32(3, 4), f32(3, 5), f32(3, 5, seed=1)


def _weights(gates: int) -> list[object]:
    return [const(each) for each in (f32(gates * 5, 4), f32(gates * 5, 5))]


def _biases(gates: int) -> list[object]:
    return [const(f32(gates * 5, seed=seed)) for seed in (2, 3)]


ROWS = [
    Row("aten.lstm_cell", X, [H, C], *_weights(4), *_biases(4)),
    Row("aten.lstm_cell", X, [H, C], *_weights(4), None, None, label="no bias"),
    Row("aten.lstm_cell", X, [const(0 * H), const(0 * H)], *_weights(4), *_biases(4), label="zero"),
    Row("aten.lstm_cell", 30 * X, [H, 30 * C], *_weights(4), *_biases(4), label="saturated"),
    Row("aten.lstm_cell", X, [H, C], f32(20, 4), f32(20, 5), f32(20), f32(20), label="live"),
    Row("aten.lstm_cell", X, [H, C], *_weights(4), *_biases(4),
        dynamic={0: [0], 1: [0], 2: [0]}, also=[[f32(7, 4), f32(7, 5), f32(7, 5)]]),
    Row("aten.gru_cell", X, H, *_weights(3), *_biases(3)),
    Row("aten.gru_cell", X, H, *_weights(3), None, None, label="no bias"),
    Row("aten.gru_cell", X, const(0 * H), *_weights(3), *_biases(3), label="zero"),
    Row("aten.gru_cell", X, H, *_weights(3), *_biases(3),
        dynamic={0: [0], 1: [0]}, also=[[f32(7, 4), f32(7, 5)]]),
    Row("aten.rnn_tanh_cell", X, H, *_weights(1), *_biases(1)),
    Row("aten.rnn_tanh_cell", X, H, *_weights(1), None, None, label="no bias"),
    Row("aten.rnn_relu_cell", X, H, *_weights(1), *_biases(1)),
    Row("aten.rnn_relu_cell", X, const(0 * H), *_weights(1), *_biases(1), label="zero"),
]  # fmt: skip
