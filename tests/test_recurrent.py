"""Recurrent layers in a loop: the same file again and again, other batches, and how large it is."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from compile_torch import Compiled, compile_module, sqnr

from bridge.converters.tflite import CompileOptions

LEAST_SQNR = 110.0


class Tagger(torch.nn.Module):
    def __init__(self, kind: type[torch.nn.RNNBase], size: int = 8, hidden: int = 16) -> None:
        super().__init__()
        self.layers = kind(size, hidden, 2, bidirectional=True, batch_first=True)
        self.tags = torch.nn.Linear(2 * hidden, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        output: torch.Tensor = self.layers(x)[0]
        return self.tags(output)


class Classifier(torch.nn.Module):
    """A label from the last state of the last layer."""

    def __init__(self, kind: type[torch.nn.RNNBase], hidden: int, layers: int = 2) -> None:
        super().__init__()
        self.layers = kind(8, hidden, layers)
        self.label = torch.nn.Linear(hidden, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        last = self.layers(x)[1]
        label: torch.Tensor = self.label((last[0] if isinstance(last, tuple) else last)[-1])
        return label


def kinds(compiled: Compiled) -> list[str]:
    """Operators of the main graph and of all that it runs."""
    graphs = (compiled.graph, *compiled.graph.subgraphs())
    return [op.kind for graph in graphs for op in graph.ops]


@pytest.mark.parametrize(("kind", "steps"), [(torch.nn.LSTM, 12), (torch.nn.GRU, 37)])
def test_a_file_keeps_nothing_from_one_call_to_the_next(
    kind: type[torch.nn.RNNBase], steps: int, tmp_path: Path
) -> None:
    tagger = Tagger(kind).requires_grad_(False)
    path = tmp_path / "m.tflite"
    compile_module(tagger, (torch.randn(2, steps, 8),), path, dynamic={0: [0]})
    for plain in (True, False):
        interpreter = _interpreter(path, plain)
        (given,), (made,) = interpreter.get_input_details(), interpreter.get_output_details()
        for batch in (2, 5, 1, 2):
            interpreter.resize_tensor_input(given["index"], [batch, steps, 8])
            interpreter.allocate_tensors()
            for seed, scale in enumerate((1.0, 10.0, 0.1)):
                draw = torch.Generator().manual_seed(seed)
                x = torch.randn(batch, steps, 8, generator=draw) * scale
                interpreter.set_tensor(given["index"], x.numpy())
                interpreter.invoke()
                got = interpreter.get_tensor(made["index"])
                assert sqnr(tagger(x).numpy(), got) >= LEAST_SQNR


def test_a_tagger_is_small(tmp_path: Path) -> None:
    tagger, steps = Tagger(torch.nn.LSTM, hidden=128), 48
    x = torch.randn(1, steps, 8)
    looped = compile_module(tagger, (x,), tmp_path / "looped.tflite")
    unrolled = compile_module(
        tagger, (x,), tmp_path / "unrolled.tflite", options=CompileOptions(unroll=steps)
    )
    assert 10 * len(kinds(looped)) < len(kinds(unrolled))
    assert looped.path.stat().st_size < unrolled.path.stat().st_size


@pytest.mark.parametrize("kind", [torch.nn.LSTM, torch.nn.GRU])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_a_loop_of_small_cells_has_a_tenth_of_the_operators(
    kind: type[torch.nn.RNNBase], bidirectional: bool, tmp_path: Path
) -> None:
    layer, steps = kind(24, 32, bidirectional=bidirectional), 32
    x = torch.randn(steps, 1, 24)
    looped = compile_module(layer, (x,), tmp_path / "looped.tflite")
    unrolled = compile_module(
        layer, (x,), tmp_path / "unrolled.tflite", options=CompileOptions(unroll=steps)
    )
    assert 10 * len(kinds(looped)) < len(kinds(unrolled))


def test_few_steps_are_unrolled_unless_the_user_wants_a_loop(tmp_path: Path) -> None:
    tagger, x = Tagger(torch.nn.LSTM), torch.randn(1, 4, 8)
    by_rule = compile_module(tagger, (x,), tmp_path / "rule.tflite")
    looped = compile_module(
        tagger, (x,), tmp_path / "looped.tflite", options=CompileOptions(unroll=0)
    )
    assert "WHILE" not in kinds(by_rule)
    assert kinds(looped).count("WHILE") == 2


@pytest.mark.parametrize("kind", [torch.nn.LSTM, torch.nn.GRU, torch.nn.RNN])
def test_small_layers_share_a_loop_that_carries_no_more_than_is_read(
    kind: type[torch.nn.RNNBase], tmp_path: Path
) -> None:
    classifier, x = Classifier(kind, hidden=32), torch.randn(20, 2, 8)
    compiled = compile_module(classifier, (x,), tmp_path / "m.tflite")
    assert kinds(compiled).count("WHILE") == 1
    assert "DYNAMIC_UPDATE_SLICE" not in kinds(compiled)
    for plain in (True, False):
        interpreter = _interpreter(compiled.path, plain)
        interpreter.allocate_tensors()
        for seed in range(3):
            x = torch.randn(20, 2, 8, generator=torch.Generator().manual_seed(seed))
            interpreter.set_tensor(interpreter.get_input_details()[0]["index"], x.numpy())
            interpreter.invoke()
            got = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
            assert sqnr(classifier(x).detach().numpy(), got) >= LEAST_SQNR


def test_a_shared_loop_has_a_tenth_of_the_operators(tmp_path: Path) -> None:
    classifier, x = Classifier(torch.nn.GRU, hidden=32), torch.randn(20, 2, 8)
    looped = compile_module(classifier, (x,), tmp_path / "looped.tflite")
    unrolled = compile_module(
        classifier, (x,), tmp_path / "unrolled.tflite", options=CompileOptions(unroll=20)
    )
    assert 10 * len(kinds(looped)) < len(kinds(unrolled))
    weights = sum(parameter.nbytes for parameter in classifier.parameters())
    assert looped.path.stat().st_size < weights + 20_000


def test_layers_whose_weights_fill_the_cache_have_loops_of_their_own(tmp_path: Path) -> None:
    classifier = Classifier(torch.nn.GRU, hidden=160)
    compiled = compile_module(classifier, (torch.randn(20, 1, 8),), tmp_path / "m.tflite")
    assert kinds(compiled).count("WHILE") == 2
    assert kinds(compiled).count("DYNAMIC_UPDATE_SLICE") == 1  # the first layer's


def test_weights_are_stored_once_however_many_steps_are_unrolled(tmp_path: Path) -> None:
    layer = torch.nn.LSTM(64, 128)
    compiled = compile_module(
        layer, (torch.randn(8, 1, 64),), tmp_path / "m.tflite", options=CompileOptions(unroll=8)
    )
    weights = sum(parameter.nbytes for parameter in layer.parameters())
    assert compiled.path.stat().st_size < 1.2 * weights


def _interpreter(path: Path, plain: bool):  # type: ignore[no-untyped-def]
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    resolver = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES if plain else OpResolverType.AUTO
    return Interpreter(str(path), experimental_op_resolver_type=resolver, num_threads=1)
