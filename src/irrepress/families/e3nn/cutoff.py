"""Radial networks that see less far, fitted to what they gave before, without any training.

The time of a call goes with the number of edges, and that with the cube of the cutoff; yet the
outermost edges weigh least, since an envelope brings them to zero. So a shorter cutoff saves much
and takes little away, if the radial networks give what they gave before at all other distances.
They are functions of distances, so that they are fitted to what they were on a grid of these,
before any structure is seen. Features, and with them blocks, keep their meaning.
"""

import copy
import logging
from collections.abc import Callable, Iterable

import torch
from torch import Tensor
from torch.nn import Parameter

logger = logging.getLogger(__name__)

# Exponent of the polynomial envelope. It stays near 1 up to four fifths of the cutoff and has two
# continuous derivatives everywhere; the usual 6 would weaken edges from half of the cutoff on.
STEEPNESS = 30
_SHORTEST = 0.4  # Å; no atoms are nearer
_POINTS = 300
_ITERATIONS = 150
_STEP = 1e-3  # Å, of slopes
# Weight of slopes, which forces depend on, beside values: a length in Å.
_SLOPES = 0.05
# Of the first linear map, which starts the fit, relative to the mean square of its inputs.
_RIDGE = 1e-6


def distances(cutoff: float) -> Tensor:
    """Return the distances that radial networks are compared at, in Å, ``[points]`` float64."""
    return torch.linspace(_SHORTEST, cutoff, _POINTS, dtype=torch.float64)


def with_steps(radii: Tensor) -> Tensor:
    """Return distances, then each of them a step shorter, for slopes: ``[2 * points]``."""
    return torch.cat([radii, radii - _STEP])


def change_of_basis(old: Tensor, new: Tensor, size: float = 1.0) -> Tensor:
    """Return the linear map of the new inputs that comes nearest to the old, ``[new, old]``.

    Args:
        old: what radial networks read before, ``[points, old]``.
        new: what they read after, at the same distances, ``[points, new]``.
        size: of the old basis functions, relative to the new.
    """
    ridge = _RIDGE * new.square().mean() * len(new)
    unit = torch.eye(new.shape[1], dtype=new.dtype)
    return torch.linalg.solve(new.T @ new + ridge * unit, new.T @ old + ridge * size * unit)


def fit(
    name: str,
    function: Callable[[], Tensor],
    parameters: Iterable[Parameter],
    target: Tensor,
    radii: Tensor,
) -> None:
    """Fit a function of distances, in place, to what it was; report how near it comes.

    Args:
        name: of the function, for the log.
        function: gives the values at `with_steps` of the distances, ``[2 * points, values]``.
        parameters: what the function depends on; they start near the solution.
        target: what it gave before, ``[2 * points, values]``.
        radii: the distances, ``[points]``.
    """
    # As many edges lie in a shell as its radius squared.
    shells = radii[:, None] / radii.square().mean().sqrt()
    size = (shells * target[: len(radii)]).square().mean()
    if size == 0:  # nothing was given, whatever the distance, and nothing is to be learnt
        return

    def loss() -> Tensor:
        wrong, before = (function() - target).chunk(2)
        slopes = (wrong - before) / _STEP
        squares = (shells * wrong).square() + (_SLOPES * shells * slopes).square()
        return squares.mean() / size

    optimizer = torch.optim.LBFGS(
        parameters,
        max_iter=_ITERATIONS,
        history_size=30,
        line_search_fn="strong_wolfe",
        # The default ends where little is gained in one step, far from the end.
        tolerance_grad=1e-12,
        tolerance_change=1e-12,
    )

    def closure() -> Tensor:
        optimizer.zero_grad()
        value = loss()
        value.backward()
        return value

    with torch.enable_grad():
        optimizer.step(closure)
    optimizer.zero_grad()
    with torch.no_grad():
        missing = float(loss())
    logger.info("%s: %.2g of its values is missing up to %g Å", name, missing, float(radii.max()))


def in_float64(module: torch.nn.Module) -> torch.nn.Module:
    """Return a copy of a module in float64 on the CPU, where fits are made."""
    return copy.deepcopy(module).to(device="cpu", dtype=torch.float64)
