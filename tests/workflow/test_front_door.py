"""The front door makes what the workflow makes: the same plans, the same weights."""

from pathlib import Path

import pytest
import torch

import irrepress
from irrepress.core.plan import Plan
from irrepress.families import get_family

pytestmark = [pytest.mark.workflow, pytest.mark.slow, pytest.mark.timeout(2400)]

SEED = 3
TRAINING = {"batch_size": 4, "seed": SEED}


@pytest.fixture(scope="module")
def made(study):
    """The results of the model in the study."""
    return study / "results/tiny/sevennet-0"


@pytest.fixture(scope="module")
def foundation(made):
    return made.parent / "data/foundation.h5"


@pytest.fixture(scope="module")
def model():
    return irrepress.load("7net-0", device="cpu")


@pytest.fixture(scope="module")
def pruning(model, foundation):
    scoring = {"structures": 8, "batch_size": 4, "seed": SEED}
    return model.plan(foundation, flops=0.5, criterion="taylor", **scoring)


def assert_same(potential: irrepress.Potential, path: Path) -> None:
    expected = get_family("sevennet").load(path).state_dict()
    found = potential.model.state_dict()
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        assert found[name].equal(tensor), name


def test_plans(model, pruning, made, foundation):
    assert pruning.name == "taylor-0.50"
    expected = Plan.load(made / "taylor-0.50/plan.json")
    assert pruning.plan.keep == expected.keep
    of_cost = {key: value for key, value in expected.provenance.items() if key != "scores"}
    found = {key: value for key, value in pruning.plan.provenance.items() if key != "scores"}
    assert found == of_cost
    shape = {"irreps": "64x0e+32x1e", "filter_lmax": 1, "criterion": "taylor", "seed": SEED}
    explicit = model.plan(foundation, structures=8, batch_size=4, **shape)
    assert explicit.plan.keep == Plan.load(made / "taylor-half-l1/plan.json").keep


def test_pruned_and_compensated(pruning, made, foundation):
    pruned = pruning.apply()
    assert_same(pruned, made / "taylor-0.50/pruned/model.pt")
    compensated = pruned.compensate(foundation, structures=6, batch_size=3, seed=SEED)
    assert_same(compensated, made / "taylor-0.50/compensated/model.pt")


def test_distilled(made, foundation):
    start = irrepress.load(made / "taylor-0.50/compensated/model.pt", device="cpu")
    options = {"steps": 6, "validate_every": 3, "label_fraction": 0.25, "features": 0.1}
    distilled = start.distill(foundation, **options, **TRAINING)
    # The workflow labels the test part as well, so that structures share batches with others:
    # the labels agree to round-off.
    expected = get_family("sevennet").load(made / "taylor-0.50/distilled/model.pt")
    for name, tensor in expected.state_dict().items():
        torch.testing.assert_close(distilled.model.state_dict()[name], tensor, rtol=1e-3, atol=1e-4)


def test_finetuned_and_quantized(made):
    recovered = made / "taylor-0.50/recovered"
    start = irrepress.load(recovered / "model.pt", device="cpu")
    data = made.parent / "data/silicon.h5"
    finetuned = start.finetune(data, steps=4, validate_every=2, **TRAINING)
    assert_same(finetuned, recovered / "downstream/silicon/finetuned/model.pt")
    assert_same(start.quantize(8), made / "taylor-0.50/recovered-int8/model.pt")
