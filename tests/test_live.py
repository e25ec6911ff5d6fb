"""Live models: which tensor is which, by name, on the way in and out."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from torch import nn

from bridge.errors import InputError
from bridge.live import LiveModel, output_names, signature_of


class Two(nn.Module):
    def forward(
        self, x: torch.Tensor, scale: Any = 1, *, mask: Any = None, bias: Any = None
    ) -> Any:
        return x


class Any_(nn.Module):
    def forward(self, *tensors: torch.Tensor, **named: torch.Tensor) -> Any:
        return tensors


def tensor(value: int) -> torch.Tensor:
    return torch.full((2,), float(value))


CASES: dict[str, tuple[LiveModel, list[str]]] = {
    "positional": (LiveModel(module=Two(), args=(tensor(0), tensor(1))), ["x", "scale"]),
    "what is no tensor": (
        LiveModel(module=Two(), args=(tensor(0), 3), kwargs={"bias": tensor(1)}),
        ["x", "bias"],
    ),
    "keywords in another order than the parameters": (
        LiveModel(
            module=Two(), args=(), kwargs={"bias": tensor(2), "mask": tensor(1), "x": tensor(0)}
        ),
        ["x", "mask", "bias"],
    ),
    "nested": (
        LiveModel(
            module=Two(),
            args=([tensor(0), (tensor(1), None)],),
            kwargs={"mask": {"b": tensor(2), "a": tensor(3)}},
        ),
        ["x_0", "x_1_0", "mask_b", "mask_a"],
    ),
    "nested keywords in another order": (
        LiveModel(
            module=Two(),
            args=(tensor(0),),
            kwargs={"bias": {"z": tensor(2), "a": tensor(3)}, "mask": [tensor(1)]},
        ),
        ["x", "mask_0", "bias_z", "bias_a"],
    ),
    "any number": (
        LiveModel(
            module=Any_(),
            args=(tensor(0), tensor(1)),
            kwargs={"late": tensor(2), "early": tensor(3)},
        ),
        ["tensors_0", "tensors_1", "late", "early"],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_inputs_have_the_names_of_the_parameters_in_their_order(case: str) -> None:
    live, names = CASES[case]
    inputs = live.inputs()
    assert list(inputs) == names
    assert [each[0].item() for each in inputs.values()] == list(range(len(names)))


@pytest.mark.parametrize("case", CASES)
def test_arrays_go_where_the_input_of_their_name_was(case: str) -> None:
    live, names = CASES[case]
    arrays = {name: np.full(2, 10.0 + index) for index, name in enumerate(names)}
    args, kwargs = live.with_inputs(arrays)
    again = LiveModel(module=live.module, args=args, kwargs=kwargs)
    assert {name: each[0].item() for name, each in again.inputs().items()} == {
        name: 10.0 + index for index, name in enumerate(names)
    }
    for each in again.inputs().values():
        each.zero_()
    assert all(array.all() for array in arrays.values()), "the arrays stay the caller's"


def test_one_tensor_may_be_the_example_of_two_inputs() -> None:
    both = tensor(0)
    live = LiveModel(module=Two(), args=(both, both), kwargs={"bias": [both], "mask": both})
    arrays = {name: np.full(2, index) for index, name in enumerate(live.inputs())}
    args, kwargs = live.with_inputs(arrays)
    again = LiveModel(module=live.module, args=args, kwargs=kwargs).inputs()
    assert list(again) == ["x", "scale", "mask", "bias_0"]
    assert [each[0].item() for each in again.values()] == [0, 1, 2, 3]


def test_inputs_that_do_not_fit_are_refused_with_the_parameters() -> None:
    with pytest.raises(InputError, match=r"Two\.forward\(x: .*unexpected keyword argument 'y'"):
        LiveModel(module=Two(), args=(tensor(0),), kwargs={"y": tensor(1)}).inputs()
    with pytest.raises(InputError, match="missing a required argument: 'x'"):
        LiveModel(module=Two(), args=()).inputs()


class Pair(NamedTuple):
    scores: torch.Tensor
    boxes: torch.Tensor


T = torch.zeros(1)


@pytest.mark.parametrize(
    ("outputs", "names"),
    [
        (T, ["output"]),
        ((T, T), ["output_0", "output_1"]),
        ([T, (T, T)], ["output_0", "output_1_0", "output_1_1"]),
        ({"logits": T, "aux": T}, ["logits", "aux"]),
        (OrderedDict(out=T, aux={"a": T}), ["out", "aux_a"]),
        (Pair(T, T), ["scores", "boxes"]),
        ((T, None, 3), ["output_0"]),
        ({"states": [T, T]}, ["states_0", "states_1"]),
        ((), []),
    ],
)
def test_outputs_are_named_after_keys_and_fields_or_numbered(
    outputs: Any, names: list[str]
) -> None:
    assert output_names(outputs) == names


def test_a_signature_shows_dynamic_axes_and_types() -> None:
    signature = signature_of(
        {"x": torch.zeros(2, 3), "n": torch.zeros((), dtype=torch.int64)},
        {"output": torch.zeros(2, 5, dtype=torch.bfloat16)},
        {"x": (0,)},
    )
    assert [str(each) for each in (*signature.inputs, *signature.outputs)] == [
        "x: float32[?x3]",
        "n: int64[scalar]",
        "output: bfloat16[2x5]",
    ]
