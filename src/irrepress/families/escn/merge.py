"""Merging a mixture of experts, such as UMA, into one network for one composition.

    irrepress merge uma-s-1p1.pt merged.pt --formula SiO2 --modal omat

Weights of UMA's convolutions are mixtures of experts, and what is mixed depends on the shares of
the elements, the charge, the spin and the task. For one of each, the mixture is an ordinary
eSCN-MD network, which fairchem's own code makes. The merged network predicts what the mixture
does for structures of that composition, in any number of formula units; for others it does not.
"""

from pathlib import Path
from typing import Any

import torch
from ase import Atoms
from ase.symbols import string2symbols
from fairchem.core.models.uma.compat import apply_uma_compat_fixups
from fairchem.core.models.uma.escn_moe import eSCNMDMoeBackbone

from irrepress.core.errors import UserError, explained
from irrepress.core.model import Model
from irrepress.families.escn import checkpoint
from irrepress.families.escn.architecture import BACKBONE, check_supported
from irrepress.families.escn.canonical import backbone_of, has_experts
from irrepress.families.escn.forward import usual_spin
from irrepress.families.escn.tasks import choose_dataset

_PREFIX = "backbone."


def merge(
    source: str | Path, formula: str, modal: str | None = None, dtype: torch.dtype = torch.float32
) -> Model:
    """Load a mixture of experts as one network.

    Args:
        source: path of the checkpoint.
        formula: composition, such as ``SiO2``.
        modal: the task.
        dtype: floating-point type of the model.

    Raises:
        UserError: the file or the formula cannot be read, there are no experts, or experts that
            fairchem cannot merge.
    """
    path = Path(source)
    content = checkpoint.read(path)
    config = backbone_of(path, content.model_config)
    if not has_experts(config):
        raise UserError(f"{path}: has no experts to merge; load it as it is")
    check_supported(config, path)
    dataset = choose_dataset(path, content.tasks_config, modal)
    state = checkpoint.weights(path, content)
    own = {
        name.removeprefix(_PREFIX): tensor
        for name, tensor in state.items()
        if name.startswith(_PREFIX)
    }
    problem = f"{path}: fairchem cannot merge the experts"
    mend = "the file is damaged, of another version or of another kind than UMA's"
    # A config or weights that are not fairchem's fail anywhere in its constructors.
    with explained(problem, mend):
        # fairchem marks the versions whose experts are chosen differently.
        apply_uma_compat_fixups(content, str(path))
        settings = {key: value for key, value in config.items() if key != "model"}
        backbone = eSCNMDMoeBackbone(**settings)
        backbone.model_id = content.model_config.get("model_id")
        backbone.load_state_dict(own, strict=False)
        backbone.eval()
        with torch.no_grad():
            merged = backbone.merge_MOLE_model(_system(formula, dataset))
    state = {name: t for name, t in state.items() if not name.startswith(_PREFIX)}
    state |= {f"{_PREFIX}{name}": tensor for name, tensor in merged.state_dict().items()}
    content.model_config = {
        **content.model_config,
        "backbone": {"model": BACKBONE, **backbone.parent_kwargs},
    }
    return checkpoint.convert(path, content, state, dataset, dtype)


def _system(formula: str, dataset: str) -> dict[str, Any]:
    """Return what experts are chosen by."""
    try:
        numbers = Atoms(string2symbols(formula)).numbers
    except (KeyError, ValueError, IndexError, TypeError) as error:
        raise UserError(f"formula: {formula!r} is not a composition such as SiO2") from error
    return {
        "atomic_numbers": torch.from_numpy(numbers).long(),
        "batch": torch.zeros(len(numbers), dtype=torch.long),
        "charge": torch.zeros(1, dtype=torch.long),
        "spin": torch.full((1,), usual_spin(dataset)),
        "dataset": [dataset],
    }
