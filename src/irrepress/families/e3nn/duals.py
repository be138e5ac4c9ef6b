"""Modules of e3nn under forward-mode differentiation, in few operations.

torch differentiates forward operation by operation, and what it does for values and tangents apart
a linear map can do for both at once. Parameters, buffers and files know nothing of it: only the
``forward`` of modules is replaced, and only while a context lasts.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.autograd.forward_ad as forward_mode
from e3nn.math import normalize2mom
from e3nn.nn._fc import _Layer as RadialLayer
from e3nn.o3 import Linear
from torch import Tensor
from torch.nn import LayerNorm


class _Silu(torch.autograd.Function):
    """``silu(x)`` and its change, times a factor; their derivatives by values and tangents."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, tangents: Tensor, factor: float) -> tuple[Tensor, Tensor]:
        sigmoid = torch.sigmoid(values)
        result = values * sigmoid
        slope = torch.addcmul(sigmoid, result, 1 - sigmoid)
        ctx.save_for_backward(values, tangents, sigmoid, slope)
        ctx.factor = factor
        changes = slope * tangents
        return (result, changes) if factor == 1 else (result.mul_(factor), changes.mul_(factor))

    @staticmethod
    def backward(ctx: Any, of_values: Tensor, of_tangents: Tensor) -> tuple[Tensor, Tensor, None]:
        values, tangents, sigmoid, slope = ctx.saved_tensors
        if ctx.factor != 1:
            of_values, of_tangents = of_values * ctx.factor, of_tangents * ctx.factor
        curvature = values.mul(1 - 2 * sigmoid).add_(2).mul_(sigmoid).mul_(1 - sigmoid)
        curvature.mul_(tangents).mul_(of_tangents)
        return curvature.addcmul_(slope, of_values), slope * of_tangents, None


# Maps values and tangents to those of the result.
_Both = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


def _together(forward: Callable[[Tensor], Tensor], both: _Both) -> Callable[[Tensor], Tensor]:
    """Return what computes values and tangents together, and values alone by ``forward``."""

    def replaced(given: Tensor) -> Tensor:
        values, tangents = forward_mode.unpack_dual(given)
        if tangents is None:
            return forward(values)
        return forward_mode.make_dual(*both(values, tangents))

    return replaced


def _activate(module: normalize2mom) -> Callable[[Tensor], Tensor]:
    factor = 1.0 if module._is_id else float(module.cst)
    return _together(module.forward, lambda *given: _Silu.apply(*given, factor))


def _map(module: Linear) -> Callable[[Tensor], Tensor]:
    forward = module.forward

    def both(values: Tensor, tangents: Tensor) -> tuple[Tensor, Tensor]:
        if module.bias_numel == 0:
            return forward(torch.cat([values, tangents])).chunk(2)
        nothing = torch.zeros_like(values[:1])
        found = forward(torch.cat([values, tangents, nothing]))
        values, tangents, offset = found.split([len(values), len(tangents), 1])
        return values, tangents - offset

    return _together(forward, both)


def _map_and_activate(module: RadialLayer) -> Callable[[Tensor], Tensor]:
    def both(values: Tensor, tangents: Tensor) -> tuple[Tensor, Tensor]:
        before = module.h_in * module.var_in / (module.var_out if module.act is None else 1.0)
        values, tangents = (torch.cat([values, tangents]) @ (module.weight / before**0.5)).chunk(2)
        if module.act is None:
            return values, tangents
        found = module.act(forward_mode.make_dual(values, tangents))
        values, tangents = forward_mode.unpack_dual(found)
        scale = module.var_out**0.5
        return (values, tangents) if scale == 1 else (values * scale, tangents * scale)

    return _together(module.forward, both)


def _normalize(module: LayerNorm) -> Callable[[Tensor], Tensor]:
    forward, axes = module.forward, tuple(range(-len(module.normalized_shape), 0))

    def replaced(features: Tensor) -> Tensor:
        if forward_mode.unpack_dual(features).tangent is None:
            return forward(features)
        # Tangents that torch 2.13's own operation gives have derivatives that lack a term.
        centred = features - features.mean(axes, keepdim=True)
        scale = (centred.square().mean(axes, keepdim=True) + module.eps).rsqrt()
        result = centred * scale
        if module.weight is not None:
            result = result * module.weight
        return result if module.bias is None else result + module.bias

    return replaced


@contextmanager
def fewer_operations(modules: Iterable[torch.nn.Module]) -> Iterator[None]:
    """Compute tangents of linear maps and of ``silu`` among modules together with values.

    Normalisations over channels are written out, for the sake of their tangents' derivatives.
    Modules of other kinds are left as they are.
    """
    replaced = []
    try:
        for module in modules:
            if isinstance(module, Linear):
                forward = _map(module)
            elif isinstance(module, normalize2mom) and module.f is torch.nn.functional.silu:
                forward = _activate(module)
            elif isinstance(module, RadialLayer):
                forward = _map_and_activate(module)
            elif isinstance(module, LayerNorm):
                forward = _normalize(module)
            else:
                continue
            vars(module)["forward"] = forward
            replaced.append(module)
        yield
    finally:
        for module in replaced:
            del module.forward
