"""MACE networks that see less far, without training; see `irrepress.families.e3nn.cutoff`.

Of what MACE computes of distances, radial basis and envelope end at the cutoff; those that the
constructor builds for the new one take their place, and all networks that read them are fitted:
radial networks and, where messages are divided by a density, the networks of that. Their inputs
depend on elements where distances are transformed and in non-linear layers, so that pairs of
elements are part of the grid there. What else depends on distances stays as it is: trained
frequencies of the basis, transforms, and the pair repulsion, which ends by the radii of atoms. So
does the mean number of neighbours, a constant that trained weights go with: neighbours that are
kept send the messages that they sent before.
"""

import copy
from collections.abc import Callable

import torch
from ase.data import chemical_symbols, covalent_radii
from torch import Tensor

from irrepress.core.errors import UserError
from irrepress.core.model import Model, NativeModule
from irrepress.families.e3nn.cutoff import (
    STEEPNESS,
    change_of_basis,
    distances,
    fit,
    in_float64,
    with_steps,
)
from irrepress.families.mace.checkpoint import adopt, make_model
from irrepress.families.mace.config import build_network
from irrepress.families.mace.package import FullyConnectedNet

_BASIS = "radial_embedding.bessel_fn."
# What ends at the cutoff, whatever the weights.
_ENVELOPE = ("r_max", "radial_embedding.cutoff_fn.")
# Pairs of elements at every distance, where radial networks know elements.
_PAIRS = 8
# What of the pair repulsion may be left at the cutoff, where it breaks off, in eV.
_LEFT_OVER = 1e-4


def shorten(model: Model, cutoff: float) -> Model:
    """Return the model with a shorter cutoff in Å; see `irrepress.core.family.ShortensCutoff`.

    Raises:
        UserError: the pair repulsion of some elements would break off at the cutoff.
    """
    _check_repulsion(model, cutoff)
    config = copy.deepcopy(model.native)
    config |= {"r_max": cutoff, "num_polynomial_cutoff": STEEPNESS}
    old, new = model.network, build_network(config, model.dtype)
    trained = any(name.startswith(_BASIS) for name in config["trained"])
    adopt(old, new, constants=_ENVELOPE if trained else (*_ENVELOPE, _BASIS))
    radii, pairs = _grid(old, cutoff)
    _choose_envelope(old, new, radii, pairs)
    (old_inputs, _), (new_inputs, _) = (_basis(each, radii, pairs) for each in (old, new))
    change = change_of_basis(old_inputs, new_inputs)
    steps, pairs = with_steps(radii), pairs.repeat(1, 2)
    before, after = (_basis(each, steps, pairs) for each in (old, new))
    for t, (source, target) in enumerate(zip(old.interactions, new.interactions, strict=True)):
        for name in ("conv_tp_weights", "density_fn"):
            if hasattr(target, name):
                given, _ = _function(source, name, before, pairs)
                found, network = _function(target, name, after, pairs)
                with torch.no_grad():
                    rows = _input_rows(network)
                    rows[: len(change)] = change @ rows[: len(change)]
                    goal = given()
                fit(f"interactions.{t}.{name}", found, network.parameters(), goal, radii)
                getattr(target, name).load_state_dict(network.state_dict())
    return make_model(new, model.modal).to(model.device)


def _grid(network: NativeModule, cutoff: float) -> tuple[Tensor, Tensor]:
    """Return distances ``[edges]`` and the elements at both ends, by index, ``[2, edges]``."""
    radii = distances(cutoff)
    by_element = hasattr(network.radial_embedding, "distance_transform") or any(
        hasattr(interaction, "source_embedding") for interaction in network.interactions
    )
    if not by_element:
        return radii, torch.zeros(2, len(radii), dtype=torch.long)
    radii = radii.repeat(_PAIRS)
    generator = torch.Generator().manual_seed(0)
    elements = len(network.atomic_numbers)
    return radii, torch.randint(elements, (2, len(radii)), generator=generator)


@torch.no_grad()
def _choose_envelope(old: NativeModule, new: NativeModule, radii: Tensor, pairs: Tensor) -> None:
    """Set the envelope's exponent, in place, where distances are transformed.

    Pairs of large atoms then have the basis of small ones at a shorter distance, so that networks
    cannot tell how far the former envelope had fallen. The new one must fall like it: that one is
    taken with which a linear map comes nearest to the former basis.
    """
    if not hasattr(old.radial_embedding, "distance_transform"):
        return
    goal = _enveloped(*_basis(old, radii, pairs))
    chosen = new.radial_embedding.cutoff_fn.p

    def missing(exponent: int) -> float:
        chosen.fill_(exponent)
        found = _enveloped(*_basis(new, radii, pairs))
        return float((found @ change_of_basis(goal, found) - goal).square().sum())

    chosen.fill_(min(range(2, STEEPNESS + 1), key=missing))


# Values of the radial basis, [edges, functions], and what outputs of the networks that read it are
# multiplied by, [edges, 1]; None: that is part of the basis.
_Basis = tuple[Tensor, Tensor | None]


@torch.no_grad()
def _basis(network: NativeModule, radii: Tensor, pairs: Tensor) -> _Basis:
    """Evaluate a network's basis on edges between atoms, one of each element."""
    numbers = network.atomic_numbers.cpu()
    elements = torch.eye(len(numbers), dtype=radii.dtype)
    basis: _Basis = in_float64(network.radial_embedding)(radii[:, None], elements, pairs, numbers)
    return basis


def _enveloped(values: Tensor, envelope: Tensor | None) -> Tensor:
    return values if envelope is None else values * envelope


def _function(
    interaction: NativeModule, name: str, basis: _Basis, pairs: Tensor
) -> tuple[Callable[[], Tensor], NativeModule]:
    """Return what messages depend on at some distances, and the network that gives it.

    Args:
        interaction: a layer.
        name: of one of its networks of distances, of which a copy in float64 is made.
        basis: what the network reads, in non-linear layers followed by embeddings of the elements
            at both ends.
        pairs: the elements at both ends, ``[2, edges]``.
    """
    network, (values, envelope) = in_float64(getattr(interaction, name)), basis
    inputs = [values]
    if hasattr(interaction, "source_embedding"):
        embeddings = (interaction.source_embedding, interaction.target_embedding)
        one_hot = torch.eye(interaction.source_embedding.irreps_in.dim, dtype=torch.float64)
        inputs += [
            in_float64(embedding)(one_hot).detach()[ends]
            for embedding, ends in zip(embeddings, pairs, strict=True)
        ]
    joined = torch.cat(inputs, dim=1)

    def function() -> Tensor:
        found = network(joined)
        # An edge's share of the density.
        return _enveloped(torch.tanh(found**2) if name == "density_fn" else found, envelope)

    return function, network


def _input_rows(network: NativeModule) -> Tensor:
    """Return the weights of a network's inputs, ``[inputs, hidden]``."""
    if isinstance(network, FullyConnectedNet):
        return network.layer0.weight
    return network.net[0].weight.T


@torch.no_grad()
def _check_repulsion(model: Model, cutoff: float) -> None:
    """Check that no pair repulsion is left where edges end; it is not part of the envelope.

    Raises:
        UserError: some is.
    """
    if not hasattr(model.network, "pair_repulsion_fn"):
        return
    numbers = model.network.atomic_numbers.cpu()
    pairs = torch.combinations(torch.arange(len(numbers)), with_replacement=True).T
    atoms = torch.eye(len(numbers), dtype=torch.float64)[pairs.flatten()]
    edges = torch.arange(pairs.numel()).view_as(pairs)
    lengths = torch.full((pairs.shape[1], 1), cutoff, dtype=torch.float64)
    # Half of a pair's energy goes to the second atom.
    energies = 2 * in_float64(model.network.pair_repulsion_fn)(lengths, atoms, edges, numbers)
    energy, worst = energies[edges[1]].max(dim=0)
    if energy > _LEFT_OVER:
        ends = numbers[pairs[:, worst]].tolist()
        names = "-".join(chemical_symbols[number] for number in ends)
        raise UserError(
            f"plan: a cutoff of {cutoff:g} Å is asked for, but the model's pair repulsion (ZBL) of "
            f"{names}, {float(energy):.1g} eV there, would break off; it ends at "
            f"{covalent_radii[ends].sum():.2f} Å: take a cutoff of that at least, or restrict the "
            "model to elements of smaller atoms"
        )
