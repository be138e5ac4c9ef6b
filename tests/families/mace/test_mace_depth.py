"""Fewer layers: what stays as it was, what MACE builds of it, and where compensation starts."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch

# Not "mace" alone: that is the name of this folder, too.
pytest.importorskip("mace.modules", reason="MACE is not installed in this environment")

from mace.calculators import MACECalculator

from irrepress.core.errors import UserError
from irrepress.core.fits import Pair
from irrepress.core.plan import Plan
from irrepress.core.target import Explicit
from irrepress.evaluation.checks import SYMMETRY_TOLERANCE
from irrepress.evaluation.symmetry import check_symmetry
from irrepress.families.mace.architecture import read_architecture
from irrepress.pruning.compensation import compensate
from irrepress.pruning.config import Sweep
from irrepress.pruning.layers import choose_layers, fewest_layers
from irrepress.pruning.scoring import compute_scores
from irrepress.study.planning import Planning
from irrepress.study.recipes import Recipe
from irrepress.testing import assert_close, masked_and_narrowed, random_plan

ARCHITECTURES = ["agnostic", "residual", "density", "nonlinear", "deep"]


@pytest.fixture(scope="module")
def make(mace, network_maker, tmp_path_factory):
    """A function from changes of a small network's arguments to a model in float64."""
    folder = tmp_path_factory.mktemp("models")

    def model(**changes):
        path = folder / "model.model"
        torch.save(network_maker(**changes), path)
        return mace.load(path, dtype=torch.float64)

    return model


@pytest.fixture(scope="module")
def deep(mace, architecture_file):
    path, modal = architecture_file("deep")
    return mace.load(path, modal=modal, dtype=torch.float64)


def predict(model, structures):
    return model.predict(model.batch(structures))


def whole(parent, layers):
    """The plan that drops layers and nothing else."""
    return replace(Plan.identity(parent.with_layers(layers).groups()), layers=tuple(layers))


def targets(parent, narrowed, plan, structures):
    """Name of a fit -> what its maps are fitted to."""
    source, found = Pair.of(parent, narrowed, structures), {}
    for fit in parent.linear_fits(narrowed, plan):
        rows = fit.rows(source)
        source, found[fit.name] = rows.progress, rows.outputs
    return found


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_single_layer_predicts_what_the_first_contributes(
    mace, architecture_file, structures, architecture
):
    path, modal = architecture_file(architecture)
    parent = mace.load(path, modal=modal, dtype=torch.float64)
    silent = copy.deepcopy(parent)
    for name, parameter in silent.network.named_parameters():
        if name.startswith("readouts.") and not name.startswith("readouts.0."):
            parameter.data.zero_()
    for native in (True, False):
        expected = silent.predict(silent.batch(structures), native=native)
        single = parent.with_layers([0])
        found = single.predict(single.batch(structures), native=native)
        assert_close(found, expected, 1e-10, periodic=[0, 1])
    assert single.layers == 1 and single.modal == parent.modal
    assert single.shape()["irreps"] == [parent.shape()["irreps"][0]] * 2


def test_layers_that_stay_keep_their_weights(deep, structures):
    fewer = deep.with_layers([0, 2])
    before, after = deep.shape(), fewer.shape()
    irreps, edges = before["irreps"], before["edge_irreps"]
    assert after == {
        **before,
        "layers": 2,
        "irreps": [irreps[0], irreps[2], irreps[3]],
        "edge_irreps": [edges[0], edges[2]],
        "correlation": [2, 3],
    }
    given, found = deep.network.state_dict(), fewer.network.state_dict()
    for name in dict(fewer.network.named_parameters()):
        kind, _, rest = name.partition(".1.")
        layered = rest and kind in ("interactions", "products", "readouts")
        own = f"{kind}.2.{rest}" if layered else name
        assert torch.equal(found[name], given[own]), name
    assert not torch.allclose(predict(fewer, structures).energy, predict(deep, structures).energy)


@pytest.mark.parametrize(
    ("changes", "layers"),
    [
        ({"num_interactions": 3, "correlation": [2, 2, 2]}, [0, 2]),
        ({"num_interactions": 3, "correlation": [2, 2, 2], "use_last_readout_only": True}, [0, 2]),
        ({"keep_last_layer_irreps": True}, [0]),
        (
            {
                "num_interactions": 3,
                "correlation": [1, 2, 3],
                "keep_last_layer_irreps": True,
                "edge_irreps": "4x0e+3x1o",
            },
            [0, 2],
        ),
        ({"edge_irreps": "4x0e+3x1o", "use_edge_irreps_first": True}, [0]),
        ({"edge_irreps": "4x0e+3x1o"}, [0]),
    ],
)
def test_layers_and_blocks_go_together(make, structures, changes, layers):
    parent = make(**changes)
    fewer = parent.with_layers(layers)
    assert fewer.groups() == fewer.family.make_groups(read_architecture(fewer.network))
    assert parent.groups_with_layers(layers).keys() == {group.name for group in fewer.groups()}
    halves = {
        group.name: tuple(range(0, group.channels, 2))
        for group in fewer.groups()
        if group.axis in ("channel", "width")
    }
    plan = Plan.identity(fewer.groups())
    plan, _ = fewer.native_plan(replace(plan, keep={**plan.keep, **halves}))
    assert len(plan.keep["features.0.0e"]) == 3
    masked, found, _ = masked_and_narrowed(fewer, plan, structures)
    assert_close(found, masked, 1e-10, periodic=[0, 1])
    narrowed = parent.narrow(replace(plan, layers=tuple(layers)))
    assert_close(predict(narrowed, structures), found, 1e-12, periodic=[0, 1])
    assert fewer.cost_model()(plan.widths(fewer.groups())).parameters == narrowed.parameter_count()


def test_layers_cutoff_elements_and_blocks_go_together(mace, deep, structures, tmp_path):
    fewer = deep.with_layers([0, 2]).with_cutoff(3.2)
    plan, _ = fewer.native_plan(random_plan(fewer.groups(), 2, 0, None))
    narrowed = deep.narrow(replace(plan, layers=(0, 2), cutoff=3.2)).restrict_elements([14])
    assert narrowed.layers == 2 and narrowed.cutoff == pytest.approx(3.2)
    masked, _, _ = masked_and_narrowed(fewer, plan, structures[:1])
    assert_close(predict(narrowed, structures[:1]), masked, 1e-9)
    narrowed.save(tmp_path / "small.model")
    loaded = mace.load(tmp_path / "small.model", modal=narrowed.modal, dtype=torch.float64)
    assert loaded.shape() == narrowed.shape()


@pytest.mark.parametrize("layers", [[0], [0, 2]])
def test_files_load_in_mace(deep, structures, tmp_path, layers):
    """A pickle that torch loads, MACE's own calculator, and its TorchScript for LAMMPS."""
    model = deep.with_layers(layers)
    path = tmp_path / "model.model"
    model.save(path)
    network = torch.load(path, weights_only=False)
    assert int(network.num_interactions) == len(network.interactions) == len(layers)
    assert len(network.readouts) == len(layers)
    calculator = MACECalculator(model_paths=str(path), device="cpu", head=model.modal)
    expected = predict(model, structures)
    for index, structure in enumerate(structures):
        atoms = replace(structure, energy=np.nan).to_atoms()
        atoms.calc = calculator
        assert atoms.get_potential_energy() == pytest.approx(float(expected.energy[index]))
    model.family.write_own_torchscript(model, tmp_path / "lammps.pt")
    assert (tmp_path / "lammps.pt").stat().st_size > 0


def test_a_number_of_layers_stands_for_the_first_and_the_last(deep, make):
    assert choose_layers(deep, 2) == (0, 2) == fewest_layers(deep)
    assert choose_layers(deep, 1) == (0,)
    assert choose_layers(deep, 3) is None
    two = make()
    assert choose_layers(two, 1) == (0,)
    assert fewest_layers(two) is None


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ([2], "layers 2: .* with 0, which reads the embedding of the elements$"),
        ([0, 1], "layers 0, 1: .* with 0, which .*, and 2, whose non-linear readout MACE builds"),
        ([1, 2], "layers 1, 2: the model has the layers 0 to 2; name some of them in ascending"),
        ([], "layers none: .* with 0, which"),
    ],
)
def test_layers_that_mace_cannot_build_are_refused(deep, layers, message):
    with pytest.raises(UserError, match=message):
        deep.with_layers(layers)
    with pytest.raises(UserError, match=message):
        deep.narrow(replace(Plan.identity(deep.groups()), layers=tuple(layers)))


def test_the_only_readout_keeps_its_layer(make):
    parent = make(use_last_readout_only=True)
    with pytest.raises(UserError, match=r"plan: layers 0: .*, and 1, which the only readout"):
        choose_layers(parent, 1)


def test_what_leaves_a_layer_is_fitted_to_what_the_next_one_reads(deep, structures):
    parent, layers = deep, (0, 2)
    plan = whole(parent, layers)
    found = targets(parent, parent.narrow(plan), plan, structures)
    every = whole(parent, (0, 1, 2))
    wanted = targets(parent, parent.narrow(every), every, structures)
    for name, own in [
        ("interactions.0.linear_up", "interactions.0.linear_up"),
        ("interactions.1.linear_up", "interactions.2.linear_up"),
        ("readouts.1.linear_2", "readouts.2.linear_2"),
    ]:
        for irrep, target in found[name].items():
            assert torch.equal(target, wanted[own][irrep]), (name, irrep)
    features = {}
    with parent.gated({}, features.__setitem__):
        predict(parent, structures)
    # Nothing passes the first layer beside its product.
    for irrep, target in found["products.0.linear"].items():
        torch.testing.assert_close(target, features[f"features.2.{irrep}"])
    contributions = [wanted[f"readouts.{i}.linear"]["0e"] for i in (0, 1)]
    torch.testing.assert_close(found["readouts.0.linear"]["0e"], sum(contributions))


def test_the_readout_of_a_single_layer_is_fitted_to_the_whole_energy(make, structures):
    parent = make()
    plan = whole(parent, (0,))
    found = targets(parent, parent.narrow(plan), plan, structures)
    every = whole(parent, (0, 1))
    wanted = targets(parent, parent.narrow(every), every, structures)
    both = wanted["readouts.0.linear"]["0e"] + wanted["readouts.1.linear_2"]["0e"]
    torch.testing.assert_close(found["readouts.0.linear"]["0e"], both)
    scalars = wanted["products.0.linear"]["0e"]
    torch.testing.assert_close(found["products.0.linear"]["0e"], scalars)


def test_plans_of_fewer_layers(make):
    """Scores are those of the layers that stay, and budgets fractions of the whole model."""
    parent = make(num_interactions=3, correlation=[2, 2, 2])
    scores = compute_scores(parent, [], criteria=["magnitude"])
    sweep = Sweep(criteria=["magnitude"], multiple=1, floor=1)
    target = Explicit(irreps="3x0e+3x1o", layers=2)
    recipe = Recipe(criterion="magnitude", explicit=target, layers=target.layers)
    plan = Planning(parent, recipe, sweep, scores).plan()
    assert plan.layers == (0, 2)
    best = scores.of("magnitude")["features.2.1o"].argsort()[-3:]
    assert plan.keep["features.1.1o"] == tuple(sorted(best.tolist()))
    narrowed = parent.narrow(plan)
    assert narrowed.shape()["irreps"] == ["3x0e", "3x0e+3x1o", "3x0e"]

    recipe = Recipe(criterion="magnitude", budget=0.4, allocation="greedy", layers=1)
    made = Planning(parent, recipe, sweep, scores)
    plan = made.plan()
    fraction = made.summary(plan)["fraction"]
    assert plan.layers == (0,) and fraction["flops"] <= 0.4
    share = parent.narrow(plan).parameter_count() / parent.parameter_count()
    assert fraction["parameters"] == pytest.approx(share)


@pytest.mark.slow
def test_compensation_makes_of_a_single_layer_a_start(mace, gst, gst_frames, tmp_path):
    """A real model on real frames: without compensation, half of the energy is missing."""
    frames = sorted(gst_frames, key=len)[:12]
    plan = whole(gst, (0,))
    plain, fitted = gst.narrow(plan), gst.narrow(plan)
    results = compensate(gst, fitted, plan, frames[:8], batch_size=2)
    assert all(result.after <= result.before + 1e-12 for result in results)
    unseen = frames[8:]
    target = predict(gst, unseen)
    found = [predict(model, unseen) for model in (plain, fitted)]
    errors = [float((each.forces - target.forces).abs().mean()) for each in found]
    assert errors[1] < 0.75 * errors[0]
    atoms = torch.tensor([len(frame) for frame in unseen])
    assert float(((found[1].energy - target.energy) / atoms).abs().max()) < 0.05
    for native in (True, False):
        symmetry = check_symmetry(fitted, unseen[0], seed=0, native=native)
        assert symmetry.pop("finite_difference") < 1e-5
        assert max(symmetry.values()) < SYMMETRY_TOLERANCE
    fitted.save(tmp_path / "single.model")
    calculator = MACECalculator(model_paths=str(tmp_path / "single.model"), device="cpu")
    atoms = unseen[0].to_atoms()
    atoms.calc = calculator
    assert atoms.get_potential_energy() == pytest.approx(float(found[1].energy[0]), rel=1e-9)
