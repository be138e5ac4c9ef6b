"""Everything that is measured on one model, as it goes into ``metrics.json``."""

from pathlib import Path
from typing import Any

import torch

from irrepress.config import Evaluation
from irrepress.devices import resolve_device
from irrepress.errors import UserError
from irrepress.evaluation.errors import compute_errors
from irrepress.evaluation.symmetry import check_symmetry
from irrepress.evaluation.timing import reference_crystal, time_side_by_side
from irrepress.families.base import Family, Model
from irrepress.pruning.blocks import widths_of
from irrepress.pruning.plan import Plan
from irrepress.structures.store import StructureStore

SCHEMA_VERSION = 1


def measure_errors(
    family: Family,
    model: Model,
    store: StructureStore,
    *,
    split: str = "test",
    teacher: StructureStore | None = None,
    batch_size: int = 8,
    device: str = "auto",
) -> dict[str, Any]:
    """Errors on one split of a store.

    Args:
        family: the model's family.
        model: the model.
        store: labelled structures.
        split: ``train``, ``valid`` or ``test``.
        teacher: the same structures labelled by the parent, for the agreement with it.
        batch_size: structures per forward pass.
        device: as in the config.

    Returns:
        The head of ``metrics.json``: dataset, split, labels, sizes and ``errors``, in eV/atom,
        eV/Å and eV/Å^3.

    Raises:
        UserError: the split is empty.
    """
    indices = store.require(split)
    references = [teacher.iterate(indices)] if teacher is not None else []
    results = compute_errors(
        family, model, store.iterate(indices), *references, batch_size=batch_size, device=device
    )
    return {
        "schema_version": SCHEMA_VERSION,
        "dataset": Path(store.path).stem,
        "split": split,
        "labels": store.info.labels,
        "structures": len(indices),
        "atoms": int(store.num_atoms[indices].sum()),
        "errors": dict(zip(("labels", "parent"), results, strict=False)),
    }


def measure_cost(
    family: Family,
    model: Model,
    parent: Model,
    settings: Evaluation,
    *,
    model_path: Path,
    packed_path: Path | None = None,
    plan: Plan | None = None,
    device: str = "auto",
) -> dict[str, Any]:
    """Parameters, FLOPs, file sizes, kept blocks, and time side by side with the parent.

    Args:
        family: the models' family.
        model: the model.
        parent: the uncompressed model; the same object if the model is the parent.
        settings: size of the timed crystal and number of repeats.
        model_path: the native file, whose size is told.
        packed_path: the packed file of a quantized model.
        plan: the plan the model was narrowed by; None for the parent.
        device: as in the config.
    """
    target = resolve_device(device)
    groups = family.groups(model)
    cost = family.cost_model(model)(widths_of(groups))
    total = sum(g.channels for g in family.groups(parent))
    crystal = reference_crystal(parent.elements, settings.timing_atoms)
    timed = [model] if model is parent else [model, parent]
    seconds = time_side_by_side(
        family, timed, crystal, repeats=settings.timing_repeats, device=str(target)
    )
    return {
        "parameters": model.parameter_count(),
        "flops_per_atom": cost.flops,
        "file_bytes": model_path.stat().st_size,
        "packed_bytes": packed_path.stat().st_size if packed_path else None,
        "kept_blocks": plan.kept_blocks() if plan else total,
        "total_blocks": total,
        "timing_atoms": len(crystal),
        "seconds": seconds[0],
        "parent_seconds": seconds[-1],
        "time_ratio": seconds[0] / seconds[-1],
        "device": str(target),
        "threads": torch.get_num_threads(),
    }


def measure_symmetry(
    family: Family, path: Path, store: StructureStore, *, modal: str | None, seed: int = 0
) -> dict[str, float | None]:
    """Symmetry and finite-difference checks of a saved model in float64 on the CPU.

    The smallest structure of the test split with at least two atoms is taken: round-off and
    time grow with size, the symmetries do not.
    """
    model = family.load(path, modal=modal, dtype=torch.float64)
    candidates = [int(i) for i in store.require("test") if store.num_atoms[i] > 1]
    if not candidates:
        raise UserError(f"{store.path}: the test split has no structure of two atoms or more")
    smallest = min(candidates, key=lambda i: int(store.num_atoms[i]))
    return check_symmetry(family, model, store[smallest], seed=seed)
