"""SevenNet networks that see less far, without training.

The time of a call goes with the number of edges, and that with the cube of the cutoff; yet the
outermost edges weigh least, since an envelope brings them to zero. So a shorter cutoff saves much
and takes little away, if the radial networks give what they gave before at all other distances.
They are functions of one distance, so that they are fitted to what they were on a grid of it,
before any structure is seen. Features, and with them blocks, keep their meaning.
"""

import copy
import logging
from collections.abc import Callable

import sevenn._keys as KEY
import torch
from torch import Tensor

from irrepress.core.model import Model
from irrepress.families.sevennet import checkpoint
from irrepress.families.sevennet.architecture import EDGES

logger = logging.getLogger(__name__)

# Exponent of the polynomial envelope. It stays near 1 up to four fifths of the cutoff and has two
# continuous derivatives everywhere; the usual 6 would weaken edges from half of the cutoff on.
_STEEPNESS = 30
_SHORTEST = 0.4  # Å; no atoms are nearer
_POINTS = 300
_ITERATIONS = 150
_STEP = 1e-3  # Å, of slopes
# Weight of slopes, which forces depend on, beside values: a length in Å.
_SLOPES = 0.05
# Of the first linear map, which starts the fit, relative to the mean square of its inputs.
_RIDGE = 1e-6

# Radial network's inputs, or outputs, at distances [points] -> [points, values].
Radial = Callable[[Tensor], Tensor]


def shorten(model: Model, cutoff: float) -> Model:
    """Return the model with a shorter cutoff in Å; see `Family.shorten_cutoff`."""
    config = copy.deepcopy(model.native)
    config[KEY.CUTOFF] = cutoff
    config[KEY.CUTOFF_FUNCTION] = {
        KEY.CUTOFF_FUNCTION_NAME: "poly_cut",
        KEY.POLY_CUT_P: _STEEPNESS,
    }
    network = checkpoint.build(config).to(torch.float64)
    network.load_state_dict(model.network.state_dict())
    modules = network._modules
    old_basis = _basis(_in_float64(model.network._modules[EDGES]))
    new_basis = _basis(modules[EDGES])
    radii = torch.linspace(_SHORTEST, cutoff, _POINTS, dtype=torch.float64)
    change = _change_of_basis(old_basis, new_basis, radii, cutoff / model.cutoff)
    for name, module in modules.items():
        if name.endswith("_convolution"):
            old = _in_float64(model.network._modules[name].weight_nn)
            missing = _fit(module.weight_nn, old, old_basis, new_basis, change, radii)
            logger.info("%s: %.2g of the radial weights is missing at %g Å", name, missing, cutoff)
    network = network.to(device=model.device, dtype=model.dtype)
    return checkpoint.make_model(network, config, model.modal)


def _in_float64(module: torch.nn.Module) -> torch.nn.Module:
    return copy.deepcopy(module).to(device="cpu", dtype=torch.float64)


def _basis(edges: torch.nn.Module) -> Radial:
    """Return the radial basis times the envelope, what radial networks read."""

    def basis(radii: Tensor) -> Tensor:
        with torch.no_grad():
            return edges.basis_function(radii) * edges.cutoff_function(radii)[:, None]

    return basis


def _change_of_basis(old: Radial, new: Radial, radii: Tensor, size: float) -> Tensor:
    """Return the linear map of the new basis that comes nearest to the old, ``[new, old]``.

    Args:
        old: the basis before.
        new: the basis after.
        radii: where they are compared, ``[points]``.
        size: of the new basis functions; they have the factor 2 / cutoff.
    """
    inputs, outputs = new(radii), old(radii)
    ridge = _RIDGE * inputs.square().mean() * len(radii)
    unit = torch.eye(inputs.shape[1], dtype=inputs.dtype)
    return torch.linalg.solve(
        inputs.T @ inputs + ridge * unit, inputs.T @ outputs + ridge * size * unit
    )


def _fit(
    network: torch.nn.Module,
    old: torch.nn.Module,
    old_basis: Radial,
    new_basis: Radial,
    change: Tensor,
    radii: Tensor,
) -> float:
    """Fit a radial network, in place, to what it was.

    Returns:
        The share of the squared radial weights and slopes that is left over.
    """
    weight = network.layer0.weight
    with torch.no_grad():
        weight.copy_(change @ weight)
    # As many edges lie in a shell as its radius squared.
    shells = radii[:, None] / radii.square().mean().sqrt()
    pairs = torch.cat([radii, radii - _STEP])  # slopes are differences
    inputs = new_basis(pairs)
    with torch.no_grad():
        target = old(old_basis(pairs))
        size = (shells * target[: len(radii)]).square().mean()

    def loss() -> Tensor:
        wrong, before = (network(inputs) - target).chunk(2)
        slopes = (wrong - before) / _STEP
        squares = (shells * wrong).square() + (_SLOPES * shells * slopes).square()
        return squares.mean() / size

    optimizer = torch.optim.LBFGS(
        network.parameters(),
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
        return float(loss())
