"""Plans of a fixed model of each family, recorded under tests/golden, so that none changes unseen.

Where plans change on purpose, write them anew with ``make golden`` and look at what differs.
"""

import json
import re
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ase.build import bulk

from irrepress.core.files import read_json
from irrepress.core.groups import Group
from irrepress.core.loss_weights import LossWeights
from irrepress.core.model import Model
from irrepress.core.statistics import measure_statistics
from irrepress.core.structure import Structure
from irrepress.core.target import Explicit
from irrepress.families import get_family
from irrepress.pruning.allocation import Limits
from irrepress.pruning.budget import Costs, Measure, plan_for_fraction, plan_for_irreps
from irrepress.pruning.normalization import normalize
from irrepress.pruning.scoring import compute_scores

GOLDEN = Path(__file__).resolve().parents[1] / "golden"
IRREPS = ["16x0e", *["16x0e+8x1e+4x2e"] * 4, "16x0e"]
UNTRAINED: dict[str, dict[str, Any]] = {
    "mace": {"hidden_irreps": "16x0e+16x1o+16x2e", "correlation": 2, "max_ell": 2, "r_max": 4.0},
    "escn": {
        "sphere_channels": 16,
        "hidden_channels": 16,
        "edge_channels": 8,
        "lmax": 2,
        "mmax": 2,
        "num_layers": 2,
    },
}
Scores = Mapping[str, np.ndarray]


def labelled() -> list[Structure]:
    """A crystal and a salt with labels that no model would give."""
    found = []
    for seed, atoms in enumerate([bulk("Si", cubic=True), bulk("NaCl", "rocksalt", a=5.64)]):
        rng = np.random.default_rng(seed)
        atoms.rattle(0.08, seed=seed)
        labels = {
            "energy": -5.0 * len(atoms) + rng.normal(),
            "forces": rng.normal(size=(len(atoms), 3)),
            "stress": 0.01 * rng.normal(size=6),
        }
        found.append(replace(Structure.unlabelled(atoms), **labels))
    return found


def fixed_model(name: str) -> Model:
    """A small float64 model that is the same on every machine.

    SevenNet-0's weights, narrowed; for other families weights of NumPy's generator, since torch's
    differs between processors.
    """
    family = get_family(name)
    if name == "sevennet":
        parent = family.load("7net-0", dtype=torch.float64)
        zeros = {g.name: np.zeros(g.channels) for g in parent.groups()}
        shape = Explicit(irreps=IRREPS, filter_lmax=2)
        return parent.narrow(plan_for_irreps(parent.groups(), zeros, shape))
    statistics = measure_statistics({11: -2.0, 14: -5.4, 17: -3.0}, labelled())
    untrained = family.untrained(UNTRAINED[name], statistics, seed=0)
    model = family.build(untrained.native, modal=untrained.modal, dtype=torch.float64)
    rng = np.random.default_rng(0)
    with torch.no_grad():
        for _, parameter in sorted(model.named_parameters()):
            parameter.copy_(torch.from_numpy(rng.normal(0, 0.5, tuple(parameter.shape))))
    return model


def taylor_scores(model: Model) -> Scores:
    """Taylor scores on labels that are far off."""
    options = {"weights": LossWeights(), "criteria": ["taylor"], "batch_size": 2}
    return compute_scores(model, labelled(), **options).of("taylor")


def synthetic_scores(groups: list[Group]) -> Scores:
    """Scores that are no model's, which fall with the order."""
    rng = np.random.default_rng(0)
    return {g.name: rng.uniform(0.5, 1.5, g.channels) / (1 + g.l) for g in groups}


def plans(model: Model, scores: Scores) -> dict[str, dict[str, list[int]]]:
    """Plans that the family can build, by what they were made for: what stays at every group."""
    groups, costs = model.groups(), Costs.of(model)
    found = {}
    for unit in ("flops", "parameters", "blocks"):
        for budget in (0.8, 0.6):
            for allocation in ("greedy", "uniform"):
                plan = plan_for_fraction(
                    groups,
                    scores,
                    Measure(groups, costs, unit),
                    budget=budget,
                    allocation=allocation,
                    limits=Limits(multiple=2, floor=2),
                )
                native, _ = model.native_plan(plan)
                keep = {name: list(kept) for name, kept in native.keep.items()}
                found[f"{budget} of {unit}, {allocation}"] = keep
    return found


def record(name: str) -> dict[str, Any]:
    """What is recorded of a family."""
    model = fixed_model(name)
    groups = model.groups()
    # As recorded, so that the last digits do not decide between two blocks.
    taylor = {
        key: [float(f"{value:.6g}") for value in values]
        for key, values in taylor_scores(model).items()
    }
    return {
        "parameters": model.parameter_count(),
        "taylor": taylor,
        "plans": {
            "synthetic": plans(model, synthetic_scores(groups)),
            "taylor": plans(model, normalized(groups, taylor)),
        },
    }


def normalized(groups: list[Group], taylor: Mapping[str, list[float]]) -> Scores:
    """Recorded scores as plans take them."""
    scores = {name: np.array(values) for name, values in taylor.items()}
    return normalize(scores, groups, "auto", "taylor")


def check(name: str) -> None:
    """Compare with the record: plans to the block, Taylor scores to a thousandth."""
    golden, model = read_json(GOLDEN / f"{name}.json"), fixed_model(name)
    groups = model.groups()
    assert model.parameter_count() == golden["parameters"]
    assert plans(model, synthetic_scores(groups)) == golden["plans"]["synthetic"]
    assert plans(model, normalized(groups, golden["taylor"])) == golden["plans"]["taylor"]
    found = taylor_scores(model)
    largest = max(max(values) for values in golden["taylor"].values())
    assert found.keys() == golden["taylor"].keys()
    for group, values in golden["taylor"].items():
        np.testing.assert_allclose(found[group], values, 1e-3, 1e-9 * largest, err_msg=group)


def write(name: str) -> None:
    """Write the record of a family: a line for each group."""
    GOLDEN.mkdir(exist_ok=True)
    text = json.dumps(record(name), indent=1)
    in_one_line = re.sub(r"\[[^\[\]]*\]", lambda numbers: " ".join(numbers[0].split()), text)
    (GOLDEN / f"{name}.json").write_text(in_one_line + "\n")


if __name__ == "__main__":
    for family_name in sys.argv[1:]:
        write(family_name)
