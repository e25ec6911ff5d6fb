"""Weights that leave no layer dead, and activations that stay within a sane range.

What initialisers set to zero or one for training's sake (biases, layer scales, heads, the last norm
of a branch, position tables, batch statistics) would hide a wrong layer: a branch that is scaled by
1e-6 may compute anything. Every such parameter is drawn anew here. Convolutions and linear layers
are then scaled one after another to outputs of unit variance (layer-sequential unit variance,
Mishkin and Matas 2015, arXiv 1511.06422), and batch norms take statistics near those of their
inputs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, TypeAlias

import torch

_TABLE_DEVIATION = 0.3  # of position tables and tokens, beside activations of about 1
_SMALL = 0.05  # deviation below which a table leaves no trace in what it is added to
_SANE = (0.5, 2.0)  # deviation of an output that is left as it is
# Mean of what a batch norm writes, or a convolution with a bias, in deviations. Around 0 each ReLU
# behind one lets rounding grow by 1.7 dB beside the signal (half of the cells pass, but a third of
# the variance), so that 50 layers bury what is measured; here by 0.7 dB, and a quarter of the
# cells is still cut off.
_SHIFT = 0.7


Call: TypeAlias = tuple[tuple[Any, ...], Mapping[str, Any]]


def enliven(module: torch.nn.Module, calls: Sequence[Call]) -> None:
    """Give a module in evaluation mode lively weights, in place.

    Args:
        module: The module, seeded by the caller.
        calls: Arguments and keyword arguments of calls with equal shapes. Scales are measured on
            the first; batch statistics on all of them as one batch.
    """
    with torch.no_grad():
        for owner in module.modules():
            for name, parameter in owner.named_parameters(recurse=False):
                if parameter.is_floating_point() and parameter.numel():
                    _redraw(owner, name, parameter)
        has_statistics = any(_has_statistics(each) for each in module.modules())
        _calibrate(module, _joined(calls) if has_statistics else calls[0])


def _joined(calls: Sequence[Call]) -> Call:
    """One call with the batches of all; what is not a tensor is the first call's."""
    return torch.utils._pytree.tree_map(  # type: ignore[no-any-return]
        lambda *each: torch.cat(each) if isinstance(each[0], torch.Tensor) else each[0], *calls
    )


def _redraw(owner: torch.nn.Module, name: str, parameter: torch.Tensor) -> None:
    """Draw a parameter anew that is constant, or too small beside what it is added to."""
    constant = float(parameter.min()) if parameter.min() == parameter.max() else None
    if constant is None:
        if _is_table(owner, name) and parameter.std() < _SMALL:
            parameter.normal_(0.0, _TABLE_DEVIATION)
    elif constant == 0.0:
        _redraw_zeros(owner, name, parameter)
    elif abs(constant) < 0.5:  # a layer scale
        parameter.uniform_(0.3, 0.8)
    else:
        parameter.uniform_(0.7, 1.3).mul_(constant)


def _is_table(owner: torch.nn.Module, name: str) -> bool:
    """Whether a parameter is added to activations or looked up, rather than multiplied with."""
    return isinstance(owner, torch.nn.Embedding) or not name.endswith(("weight", "bias"))


def _redraw_zeros(owner: torch.nn.Module, name: str, parameter: torch.Tensor) -> None:
    if _is_scaled(owner) and parameter.dim() > 1:
        fan_in = parameter[0].numel()
        parameter.normal_(0.0, fan_in**-0.5)
    elif name in ("weight", "gamma", "scale") and parameter.dim() == 1:
        parameter.uniform_(0.3, 0.8)  # the last norm of a branch
    elif name.endswith("bias") or parameter.dim() == 1:
        parameter.normal_(0.0, 0.1)
    else:
        parameter.normal_(0.0, _TABLE_DEVIATION)


def _calibrate(module: torch.nn.Module, call: Call) -> None:
    """Run a module once, and set scales and statistics layer by layer as it runs."""
    scaled: set[int] = set()
    hooks = []
    for each in module.modules():
        if _has_statistics(each):
            hooks.append(each.register_forward_pre_hook(_set_statistics))
        elif _is_scaled(each):
            hooks.append(each.register_forward_hook(partial(_set_scale, scaled)))
    try:
        module(*call[0], **call[1])
    finally:
        for hook in hooks:
            hook.remove()


def _has_statistics(module: torch.nn.Module) -> bool:
    return isinstance(getattr(module, "running_var", None), torch.Tensor)


def _is_scaled(module: torch.nn.Module) -> bool:
    """Whether it is linear in a weight of its own; standardised weights have no scale."""
    name = type(module).__name__
    linear = isinstance(module, torch.nn.Linear | torch.nn.modules.conv._ConvNd) or name == "Conv1D"
    weight = getattr(module, "_parameters", {}).get("weight")
    return linear and "Std" not in name and weight is not None


def _set_statistics(module: Any, args: tuple[torch.Tensor, ...]) -> None:
    x = args[0]
    axes = [axis for axis in range(x.dim()) if axis != 1]
    few = x.numel() // x.shape[1] < 16  # a pooled map: per channel there is nothing to measure
    mean, variance = (x.mean(), x.var()) if few else (x.mean(axes), x.var(axes))
    # No channel is all but constant, and none is so beside its mean: each norm would magnify the
    # rounding of the layers before it, until a deep network is nothing but its own noise.
    variance = 0.5 * (variance + variance.mean()) + 0.1 * mean.square().mean() + 1e-3
    noise = torch.empty_like(module.running_mean).normal_(0.0, 0.1)
    module.running_mean.copy_(mean + (noise - _SHIFT) * variance.sqrt())
    module.running_var.copy_(variance * torch.empty_like(module.running_var).uniform_(0.5, 1.5))


def _set_scale(scaled: set[int], module: Any, args: Any, output: torch.Tensor) -> torch.Tensor:
    """Scale weight and bias for an output of unit variance; a shared weight once only.

    The bias of a convolution also puts the mean where a batch norm would.
    """
    deviation = float(output.std()) if output.numel() > 1 else 1.0
    if id(module.weight) in scaled or not 0.0 < deviation < float("inf"):
        return output
    scaled.add(id(module.weight))
    if not _SANE[0] <= deviation <= _SANE[1]:
        for parameter in (module.weight, module.bias):
            if parameter is not None:
                parameter.div_(deviation)
        output = output / deviation
    if isinstance(module, torch.nn.modules.conv._ConvNd) and module.bias is not None:
        shift = _SHIFT * output.std() - output.mean()
        module.bias.add_(shift)
        output = output + shift
    return output
