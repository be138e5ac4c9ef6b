"""What is measured on a model before a study of it: its elements, and how fast it can become."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import torch

from irrepress.catalogue.families import named_shapes
from irrepress.catalogue.model_ref import ModelRef
from irrepress.core.devices import resolve_device
from irrepress.core.errors import UserError
from irrepress.core.model import Model
from irrepress.deploy.runtimes import check_runtime, groups_taken
from irrepress.evaluation.timing import reference_crystal, time_side_by_side
from irrepress.families import get_family
from irrepress.pruning.allocation import Limits, allocate_greedily
from irrepress.pruning.budget import (
    Costs,
    Measure,
    named_target,
    plan_for_irreps,
    plan_for_widths,
)
from irrepress.pruning.config import Runtime
from irrepress.pruning.layers import choose_layers, fewest_layers
from irrepress.study.drafts import Draft
from irrepress.study.examination import unknown_elements

# Atoms of the crystal that is timed, as in the configs that are written.
_ATOMS = 64
# How far a quick measurement may be off.
_DOUBT = 1.25


def load_parent(reference: ModelRef, device: str) -> Model:
    """Load a model that a config names, on a device.

    Raises:
        UserError: if it cannot be loaded.
    """
    family = get_family(reference.family)
    source = family.resolve(reference.checkpoint, licence=reference.licence)
    dtype = getattr(torch, reference.dtype)
    return family.load(source, modal=reference.modal, dtype=dtype).to(resolve_device(device))


def check_elements_known(draft: Draft, parent: Model) -> None:
    """Check that a model knows all elements of the files.

    Raises:
        UserError: if it does not.
    """
    for examination in draft.examinations:
        if unknown := unknown_elements(examination.elements, parent.elements):
            raise UserError(
                f"{', '.join(examination.files.paths)}: {draft.model.checkpoint} does not know "
                f"{', '.join(unknown)}; take another model, or remove these structures"
            )


def check_shape(draft: Draft, parent: Model) -> None:
    """Check that a model can be narrowed to the shape that is asked for, if one is.

    Raises:
        UserError: if it cannot.
    """
    shape = draft.target.shape
    if shape is None:
        return
    groups = parent.with_layers(choose_layers(parent, shape.layers, "--layers")).groups()
    scores = {group.name: np.zeros(group.channels) for group in groups}
    try:
        plan_for_irreps(groups, scores, named_target(shape, named_shapes(parent.family.name)))
    except UserError as error:
        raise UserError(f"{draft.model.checkpoint}: {error}") from None


def check_speedup(draft: Draft, parent: Model) -> str:
    """Check that a speed-up can be reached, by timing the smallest model beside its parent.

    Returns:
        A sentence on what can be reached.

    Raises:
        UserError: if it cannot be reached; the message says what can.
    """
    wanted, runtime = draft.target.speedup, draft.target.runtime
    check_runtime(parent, runtime, "--runtime")
    most = most_speedup(parent, draft.examination.elements, runtime)
    told = (
        f"the smallest shape of {draft.model.checkpoint} that a budget leads to is about "
        f"{most:.2g} times as fast here ({_ATOMS} atoms, {parent.device.type}"
        f"{'' if runtime == 'native' else f', {runtime}'})"
    )
    if wanted is not None and wanted > _DOUBT * most:
        raise UserError(
            f"--speedup {wanted:g}: {told}; ask for less, or for a shape of your own by --irreps"
        )
    return told


def most_speedup(parent: Model, elements: list[int], runtime: Runtime = "native") -> float:
    """Return how many times faster than its parent the smallest model is that a budget leads to.

    Args:
        parent: the model.
        elements: atomic numbers that it knows, of which a crystal is made.
        runtime: what both are timed in.
    """
    layers = fewest_layers(parent)
    groups = groups_taken(parent.with_layers(layers), runtime, "--runtime")
    scores: Mapping[str, np.ndarray] = {g.name: np.zeros(g.channels) for g in groups}
    measure = Measure(groups, Costs.of(parent, layers=layers), "flops")
    least = allocate_greedily(groups, scores, measure, 0.0, Limits())
    plan, _ = parent.with_layers(layers).native_plan(plan_for_widths(groups, scores, least.widths))
    plan = replace(plan, layers=layers)
    crystal = reference_crystal(elements, _ATOMS)
    found = time_side_by_side([parent.narrow(plan), parent], crystal, repeats=1, runtime=runtime)
    return 1 / found.ratios[0]
