"""Products of the matrix of second derivatives with random vectors.

Hutchinson's estimator: for a matrix H and a vector v of independent random signs, the expected
value of v_i (H v)_i is the i-th diagonal element of H (Bekas, Kokiopoulou and Saad, Appl. Numer.
Math. 57, 1214, 2007). Off-diagonal elements of row i enter with random signs.
"""

from collections.abc import Mapping

import torch
from torch import Tensor


def rademacher(like: Tensor, generator: torch.Generator) -> Tensor:
    """Return random signs with the shape, dtype and device of a tensor; equal on all devices."""
    signs = torch.randint(0, 2, like.shape, generator=generator) * 2 - 1
    return signs.to(like)


def probe_diagonal(
    gradients: Mapping[str, Tensor],
    variables: Mapping[str, Tensor],
    scales: Mapping[str, Tensor],
    generator: torch.Generator,
) -> dict[str, Tensor]:
    """Estimate the diagonal of the second derivatives of a scalar from one random vector.

    The vector v holds random signs times scales, and the estimate is (H v)_i / v_i, which is
    unbiased. Scales close to the inverse square root of the diagonal's magnitude give all elements
    a similar relative error; with scales of 1, large elements in a row swamp a small diagonal.

    Args:
        gradients: first derivatives with their graph, by name.
        variables: the variables of the derivatives, by name.
        scales: positive scales by name, broadcastable to the variables.
        generator: random number generator for the signs, on the CPU.

    Returns:
        The estimates, in the shapes of the variables.
    """
    vectors = {
        name: rademacher(variable, generator) * scales[name].to(variable)
        for name, variable in variables.items()
    }
    products = hessian_product(gradients, variables, vectors)
    return {name: product / vectors[name] for name, product in products.items()}


def hessian_product(
    gradients: Mapping[str, Tensor], variables: Mapping[str, Tensor], vectors: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """Return the product of the matrix of second derivatives and a vector, by a backward pass."""
    along = torch.stack([(gradients[name] * vectors[name]).sum() for name in variables]).sum()
    products = torch.autograd.grad(
        along, list(variables.values()), retain_graph=True, materialize_grads=True
    )
    return dict(zip(variables, products, strict=True))
