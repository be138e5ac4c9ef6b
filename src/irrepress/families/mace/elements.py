"""What MACE indexes by element: embedding, selections, weights of products, atomic energies."""

import copy
from collections.abc import Iterable, Mapping

import torch
from ase.data import chemical_symbols

from irrepress.core.errors import UserError
from irrepress.core.model import Model, NativeModule
from irrepress.families.mace.checkpoint import adopt, make_model
from irrepress.families.mace.config import build_network
from irrepress.families.mace.contraction import contractions, narrow_contraction
from irrepress.families.mace.linear import narrow_dense, read_dense, select, write_dense
from irrepress.families.mace.package import FullyConnectedTensorProduct


def shift_energies(model: Model, shifts: Mapping[int, float]) -> None:
    """Add constants to atomic energies; see `irrepress.core.family.Family.shift_energies`."""
    _check_known(model, shifts)
    numbers, heads = model.native["atomic_numbers"], model.native["heads"]
    energies = model.network.atomic_energies_fn.atomic_energies
    rows = energies if energies.ndim == 2 else energies[None]
    row = rows[0 if model.modal is None else heads.index(model.modal)]
    with torch.no_grad():
        for number, value in shifts.items():
            row[numbers.index(number)] += value
    model.native["atomic_energies"] = energies.tolist()


def restrict_elements(model: Model, elements: Iterable[int]) -> Model:
    """Drop elements; see `irrepress.core.family.Family.restrict_elements`.

    Nothing else changes: what is indexed by element is most of a model for many elements, and
    what remains is used as before.
    """
    chosen = set(map(int, elements))
    _check_known(model, chosen)
    if not chosen:
        raise UserError("restricting a model to no elements at all; name at least one")
    numbers = model.native["atomic_numbers"]
    kept = torch.tensor([i for i, number in enumerate(numbers) if number in chosen])

    config = copy.deepcopy(model.native)
    config["atomic_numbers"] = [numbers[i] for i in kept.tolist()]
    config["num_elements"] = len(kept)
    old, energies = model.network, model.network.atomic_energies_fn.atomic_energies
    config["atomic_energies"] = select(energies, energies.ndim - 1, kept).tolist()
    network = build_network(config, model.dtype)

    done: list[NativeModule] = [network.atomic_energies_fn]
    embeddings = [(old.node_embedding.linear, network.node_embedding.linear)]
    for wide, small in zip(old.interactions, network.interactions, strict=True):
        if isinstance(small.skip_tp, FullyConnectedTensorProduct):
            narrow_dense(wide.skip_tp, small.skip_tp, {}, {}, operands=kept)
            done.append(small.skip_tp)
        for name in ("source_embedding", "target_embedding"):
            if hasattr(small, name):
                embeddings.append((getattr(wide, name), getattr(small, name)))
    for wide, small in embeddings:
        write_dense(small, {"0e": select(read_dense(wide)["0e"], 0, kept)})
        done.append(small)
    shared = config["use_agnostic_product"]
    for layer in range(len(network.products)):
        wide = contractions(old, layer)
        for irrep, small in contractions(network, layer).items():
            narrow_contraction(wide[irrep], small, None, None if shared else kept)
            done.append(small)
    adopt(old, network, done, constants=("atomic_numbers",))
    return make_model(network, model.modal).to(model.device)


def _check_known(model: Model, numbers: Iterable[int]) -> None:
    if unknown := set(numbers) - set(model.elements):
        names = ", ".join(chemical_symbols[z] for z in sorted(unknown))
        raise UserError(
            f"the model does not know {names}; it knows "
            + ", ".join(chemical_symbols[z] for z in model.elements)
        )
