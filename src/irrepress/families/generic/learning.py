"""Derivatives of losses on forces, without going backward through a backward pass.

A loss of energies and forces needs its derivatives by the parameters. Forces are derivatives
themselves, so the usual way goes backward through the pass that gave them, which keeps, and goes
through, several times what an evaluation does. But the loss sees forces only through

    sum_k g_k dE/dx_k,   g_k the derivatives of the loss by dE/dx_k,

which is the change of the energy along g. So the forces are found first, without a graph of
parameters; once the loss is known, the network runs again with x moving along g (forward-mode
differentiation), and one backward pass through that run gives the derivatives by the parameters:
those of the loss, exactly (Pearlmutter, Neural Computation 6, 147 (1994)).
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.autograd.forward_ad as forward_mode
from torch import Tensor


def energies_and_slopes(
    run: Callable[..., Tensor],
    given: Tensor,
    parameters: Sequence[Tensor],
    computed: Sequence[Tensor] = (),
) -> tuple[Tensor, Tensor]:
    """Return atomic energies and the derivatives of their sum, for a loss of both.

    The results can be differentiated once, by the parameters and by what is computed of them.

    Args:
        run: from vectors or positions to atomic energies, ``[atoms]``. It is called twice: with
            a leaf, and, in the backward pass, with tangents.
        given: what it is called with.
        parameters: what the results depend on and what a loss is differentiated by.
        computed: what else it is called with, after ``given``: what has been computed of
            parameters before, and need not be computed twice.

    Returns:
        The energies, ``[atoms]``, and their sum's derivatives by ``given``, of its shape.

    Example:
        >>> weight = torch.ones(2, requires_grad=True)
        >>> energies, slopes = energies_and_slopes(
        ...     lambda positions: weight * positions**2, torch.ones(2), [weight]
        ... )
        >>> slopes.sum().backward()
        >>> weight.grad
        tensor([2., 2.])
    """
    return _Energies.apply(run, given, len(parameters), *parameters, *computed)


class _Energies(torch.autograd.Function):
    """Energies and slopes; what is differentiated is computed in the backward pass."""

    @staticmethod
    def forward(
        ctx: Any, run: Callable[..., Tensor], given: Tensor, many: int, *inputs: Tensor
    ) -> tuple[Tensor, Tensor]:
        ctx.run, ctx.given, ctx.parameters = run, given, inputs[:many]
        ctx.computed = [each.detach() for each in inputs[many:]]
        with torch.enable_grad():
            leaf = given.detach().clone().requires_grad_(True)
            energies = run(leaf, *ctx.computed)
            (slopes,) = torch.autograd.grad(
                energies.sum(), leaf, allow_unused=True, materialize_grads=True
            )
        return energies.detach(), slopes

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, of_energies: Tensor, of_slopes: Tensor) -> tuple[Tensor | None, ...]:
        leaves = [each.requires_grad_(True) for each in ctx.computed]
        with torch.enable_grad():
            with forward_mode.dual_level():
                moving = forward_mode.make_dual(ctx.given.detach(), of_slopes)
                found = ctx.run(moving, *leaves)
                energies, changes = forward_mode.unpack_dual(found)
                total = (energies * of_energies).sum()
                if changes is not None:  # else nothing depends on it: no atom has neighbours
                    total = total + changes.sum()
            # Outside: the way back is not to be differentiated forward.
            inputs = [*ctx.parameters, *leaves]
            gradients = torch.autograd.grad(total, inputs, allow_unused=True)
        return None, None, None, *gradients
