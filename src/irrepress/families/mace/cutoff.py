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
from dataclasses import dataclass

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
    old_inputs, new_inputs = (_Basis.of(each, radii, pairs).values for each in (old, new))
    change = change_of_basis(old_inputs, new_inputs)
    steps, pairs = with_steps(radii), pairs.repeat(1, 2)
    before, after = (_Basis.of(each, steps, pairs) for each in (old, new))
    for t, (source, target) in enumerate(zip(old.interactions, new.interactions, strict=True)):
        for name in ("conv_tp_weights", "density_fn"):
            if hasattr(target, name):
                given, found = (
                    _Function.of(interaction, name, basis, pairs)
                    for interaction, basis in ((source, before), (target, after))
                )
                found.change_basis(change)
                with torch.no_grad():
                    goal = given()
                fit(f"interactions.{t}.{name}", found, found.network.parameters(), goal, radii)
                getattr(target, name).load_state_dict(found.network.state_dict())
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
    goal = _Basis.of(old, radii, pairs).enveloped()
    chosen = new.radial_embedding.cutoff_fn.p

    def missing(exponent: int) -> float:
        chosen.fill_(exponent)
        found = _Basis.of(new, radii, pairs).enveloped()
        return float((found @ change_of_basis(goal, found) - goal).square().sum())

    chosen.fill_(min(range(2, STEEPNESS + 1), key=missing))


@dataclass(frozen=True)
class _Basis:
    """What radial networks read, and what their outputs are multiplied by.

    Attributes:
        values: of the radial basis, ``[edges, functions]``.
        envelope: of the outputs, ``[edges, 1]``; None: it is part of the basis.
    """

    values: Tensor
    envelope: Tensor | None

    @classmethod
    @torch.no_grad()
    def of(cls, network: NativeModule, radii: Tensor, pairs: Tensor) -> "_Basis":
        """Evaluate a network's basis on edges between atoms, one of each element."""
        numbers = network.atomic_numbers.cpu()
        elements = torch.eye(len(numbers), dtype=radii.dtype)
        radial = in_float64(network.radial_embedding)
        return cls(*radial(radii[:, None], elements, pairs, numbers))

    def enveloped(self) -> Tensor:
        """Return the basis times the envelope, wherever that is applied."""
        return self.values if self.envelope is None else self.values * self.envelope


@dataclass(frozen=True)
class _Function:
    """A function of distances that messages depend on, at some distances.

    Attributes:
        network: a copy in float64.
        inputs: what it reads, ``[edges, inputs]``: the radial basis, in non-linear layers followed
            by embeddings of the elements at both ends.
        envelope: of its outputs; see `_Basis`.
        density: whether the outputs become an edge's share of the density.
    """

    network: NativeModule
    inputs: Tensor
    envelope: Tensor | None
    density: bool

    @classmethod
    def of(cls, interaction: NativeModule, name: str, basis: _Basis, pairs: Tensor) -> "_Function":
        """Read one of an interaction's radial networks."""
        inputs = [basis.values]
        if hasattr(interaction, "source_embedding"):
            embeddings = (interaction.source_embedding, interaction.target_embedding)
            one_hot = torch.eye(interaction.source_embedding.irreps_in.dim, dtype=torch.float64)
            inputs += [
                in_float64(embedding)(one_hot).detach()[ends]
                for embedding, ends in zip(embeddings, pairs, strict=True)
            ]
        return cls(
            network=in_float64(getattr(interaction, name)),
            inputs=torch.cat(inputs, dim=1),
            envelope=basis.envelope,
            density=name == "density_fn",
        )

    def __call__(self) -> Tensor:
        found = self.network(self.inputs)
        if self.density:
            found = torch.tanh(found**2)
        return found if self.envelope is None else found * self.envelope

    @torch.no_grad()
    def change_basis(self, change: Tensor) -> None:
        """Let the network read another basis, in place; see `change_of_basis`."""
        if isinstance(self.network, FullyConnectedNet):
            rows = self.network.layer0.weight
        else:
            rows = self.network.net[0].weight.T
        rows[: len(change)] = change @ rows[: len(change)]


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
