"""Running an eSCN-MD network step by step, with fairchem's own modules.

A step is half a layer: messages along edges, or the update of every atom. fairchem's own forward
pass goes through all steps at once, finds neighbours by itself and turns edges by random angles
about themselves, which changes results by round-off only. Here the angles are zero, so that
equal inputs give equal results, and energies are functions of the edges' vectors alone.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from fairchem.core.models.uma.common.quaternion.wigner_d_hybrid import axis_angle_wigner_hybrid
from torch import Tensor

from irrepress.core.model import Model, NativeModule
from irrepress.families.escn.architecture import read_architecture
from irrepress.families.escn.tasks import dataset_of
from irrepress.families.generic.fits import Standing
from irrepress.families.generic.gates import at, start

# The site of the embedding of charge, spin and dataset, which is no module's own output.
SYSTEM = "system"
# Multiplicities of structures that say nothing; of other datasets it is 0, for not told.
_SPIN_OF = {"omol": 1}


@dataclass(frozen=True)
class State(Standing):
    """A network that has run a number of steps.

    Attributes:
        step: how many.
        features: ``[atoms, (lmax + 1)^2, channels]``.
        system: embedding of charge, spin and dataset, ``[structures, channels]``.
        structure: of each atom, ``[atoms]``.
        index: neighbour and atom of each edge, ``[2, edges]``.
        edges: what the radial networks read, ``[edges, basis + 2 edge channels]``.
        wigner: from features of atoms to those along edges, ``[edges, components, orders]``.
        inverse: back, times the envelope.
        envelope: that falls to 0 at the cutoff, ``[edges]``.
    """

    step: int
    features: Tensor
    system: Tensor
    structure: Tensor
    index: Tensor
    edges: Tensor
    wigner: Tensor
    inverse: Tensor
    envelope: Tensor


def usual_spin(dataset: str) -> int:
    """Return what fairchem takes for the spin of structures that do not say."""
    return _SPIN_OF.get(dataset, 0)


def system_inputs(model: Model, structures: int) -> tuple[Tensor, Tensor, list[str] | None]:
    """Return charge, spin and dataset of structures, as the backbone embeds them."""
    dataset = read_architecture(model.native).dataset
    spin = usual_spin(dataset_of(model.native))
    charges = torch.zeros(structures, dtype=torch.long, device=model.device)
    spins = torch.full((structures,), spin, device=model.device)
    return charges, spins, None if dataset is None else [dataset] * structures


def begin(model: Model, inputs: Mapping[str, Any]) -> State:
    """Embed atoms and edges.

    Args:
        model: the model.
        inputs: a `Graph`, on the model's device.
    """
    backbone = model.network.backbone
    numbers, structure, index = inputs["numbers"], inputs["structure"], inputs["index"]
    vectors = inputs["vectors"]
    start(model, structure, index[1])
    system = backbone.csd_embedding(*system_inputs(model, len(inputs["volume"])))
    system = at(model, SYSTEM, system)
    distances = torch.linalg.norm(vectors, dim=-1)
    envelope = backbone.envelope(distances / backbone.cutoff)
    neighbours, atoms = index
    edges = torch.cat(
        [
            backbone.distance_expansion(distances),
            backbone.source_embedding(numbers[neighbours]),
            backbone.target_embedding(numbers[atoms]),
        ],
        dim=1,
    )
    wigner, inverse = _rotations(backbone, vectors)
    inverse = inverse * envelope[:, None, None]
    scalars = backbone.sphere_embedding(numbers) + system[structure]
    features = scalars.new_zeros(len(numbers), backbone.sph_feature_size, scalars.shape[1])
    features = torch.cat([scalars[:, None], features[:, 1:]], dim=1)
    features = backbone.edge_degree_embedding(features, edges, atoms, inverse)
    return State(0, features, system, structure, index, edges, wigner, inverse, envelope)


def run(model: Model, state: State, steps: int | None = None) -> State:
    """Run the network on until it has run ``steps``, or all of them."""
    backbone = model.network.backbone
    for step in range(state.step, 2 * len(backbone.blocks) if steps is None else steps):
        block, features = backbone.blocks[step // 2], state.features
        if step % 2 == 0:
            entering = block.norm_1(features)
            scalars = entering[:, :1] + state.system[state.structure][:, None]
            entering = torch.cat([scalars, entering[:, 1:]], dim=1)
            added = block.edge_wise(
                entering,
                state.edges,
                state.index,
                state.wigner,
                state.inverse,
                total_atoms_across_gp_ranks=len(features),
                scatter_target=state.index[1],
            )
        else:
            added = block.atom_wise(block.norm_2(features))
        state = replace(state, step=step + 1, features=features + added)
    return state


def read_out(model: Model, state: State) -> Tensor:
    """Return normalized atomic energies of a network that has run all steps, ``[atoms]``."""
    scalars = model.network.backbone.norm(state.features)[:, 0]
    return energy_block(model)(scalars).squeeze(1)


def energy_block(model: Model) -> torch.nn.Sequential:
    """Return the readout's network."""
    (head,) = model.network.output_heads.values()
    return head.energy_block


def _rotations(backbone: NativeModule, vectors: Tensor) -> tuple[Tensor, Tensor]:
    """Return Wigner matrices to the frames of edges, and back."""
    data = backbone.wigner_data
    wigner, inverse = axis_angle_wigner_hybrid(
        vectors,
        backbone.lmax,
        gamma=vectors.new_zeros(len(vectors)),
        coeffs=data.coeffs,
        U_blocks=data.U_blocks,
        custom_kernels=data.custom_kernels,
    )
    chosen = backbone.coefficient_index if backbone.mmax != backbone.lmax else None
    return backbone.backend.prepare_wigner(wigner, inverse, backbone.mappingReduced, chosen)
