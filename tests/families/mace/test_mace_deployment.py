"""MACE models in symmetrix, TorchScript, torch-sim and their own code."""

from importlib.metadata import version

import numpy as np
import pytest
import torch
from ase.build import bulk, molecule

# Not "mace" alone: that is the name of this folder, too.
pytest.importorskip("mace.modules", reason="MACE is not installed in this environment")

from irrepress.core.errors import UserError
from irrepress.core.target import Explicit
from irrepress.deploy.config import DeploySettings
from irrepress.deploy.deployment import Source, deploy
from irrepress.deploy.target import MLIAP, get_target, load_script
from irrepress.pruning.config import Sweep
from irrepress.pruning.scoring import compute_scores
from irrepress.study.planning import Planning
from irrepress.study.recipes import Recipe

# The smallest network of the kind that symmetrix takes.
TAKEN = {
    "max_ell": 3,
    "correlation": [3, 3],
    "interaction_cls_first": "RealAgnosticResidualInteractionBlock",
    "hidden_irreps": "8x0e+8x1o",
    "radial_MLP": [8, 8],
}


@pytest.fixture(scope="module")
def taken(mace, network_maker):
    """A random float64 model that symmetrix takes."""
    from irrepress.families.mace.checkpoint import make_model

    return make_model(network_maker(**TAKEN), None)


def deployed(model, target, folder, **settings):
    chosen = DeploySettings(targets=[target], **{"minutes": 0, **settings})
    return deploy(Source(model, "small"), get_target(target), folder, chosen)


@pytest.mark.parametrize("target", ["native", "torchscript", "mliap", "torch-sim"])
def test_a_model_is_the_same_in_other_runtimes(taken, tmp_path, target):
    if target == "torch-sim":
        pytest.importorskip("torch_sim", reason="torch-sim-atomistic is not installed")
    record = deployed(taken, target, tmp_path / "out")
    assert record.differences["energy"] < 1e-6
    assert record.differences["forces"] < 1e-5 and record.differences["stress"] < 1e-6


@pytest.mark.parametrize(
    ("name", "cuequivariance"),
    [("density", False), ("deep", False), ("nonlinear", False), ("nonlinear", True)],
)
def test_ml_iap_gives_what_mace_gives(mace, architecture_file, tmp_path, name, cuequivariance):
    """With a stand-in for LAMMPS's data: several layers, heads and elements, ZBL."""
    if cuequivariance:
        pytest.importorskip("cuequivariance_torch", reason="cuEquivariance is not installed")
    path, modal = architecture_file(name)
    model = mace.load(path, modal=modal, dtype=torch.float64)
    target, before = MLIAP(cuequivariance=cuequivariance), torch.get_default_dtype()
    target.takes(model)
    target.write(model, tmp_path)
    assert torch.get_default_dtype() == before
    assert ("cuequivariance-torch" in target.tested("mace")) == cuequivariance
    assert b"irrepress" not in (tmp_path / "deployed.pt").read_bytes()
    for file, text in target.scripts(model).items():
        (tmp_path / file).write_text(text)
    runtime = load_script(tmp_path / "runtime.py")
    expected = mace.calculator(path, device="cpu", modal=modal)
    for seed, atoms in enumerate([bulk("NaCl", "rocksalt", a=5.0), molecule("H2O")]):
        atoms.rattle(0.1, seed=seed)
        expected.calculate(atoms, ["energy", "forces", "stress"])
        forces = expected.results["forces"]
        assert abs(forces).max() > 1e-3
        for order in (None, ["Na", "O", "H", "Cl"]):  # not the model's
            found = runtime.compute(atoms, order)
            assert found["energy"] == pytest.approx(expected.results["energy"], rel=1e-12)
            np.testing.assert_allclose(found["forces"], forces, atol=1e-11)
        if atoms.pbc.all():
            np.testing.assert_allclose(found["stress"], expected.results["stress"], atol=1e-13)


def test_what_mace_does_not_convert_is_refused(mace, architecture_file):
    pytest.importorskip("cuequivariance_torch", reason="cuEquivariance is not installed")
    path, modal = architecture_file("deep")
    with pytest.raises(UserError, match=r"class MACE to cuEqui.*leave cuequivariance out"):
        MLIAP(cuequivariance=True).takes(mace.load(path, modal=modal))


def test_symmetrix_gives_what_mace_gives_and_is_timed_beside_the_parent(taken, tmp_path):
    pytest.importorskip("symmetrix", reason="symmetrix-xl is not installed")
    settings = DeploySettings(targets=["symmetrix"], largest=8, minutes=5)
    source = Source(taken, "small")
    folder = tmp_path / "out"
    record = deploy(source, get_target("symmetrix"), folder, settings, parent=source)
    assert record.checked.startswith("by check.py in symmetrix-xl")
    assert not (folder / "model.pt").exists() and (folder / "model.json").exists()
    assert record.differences.keys() == {"energy", "forces", "stress"}
    assert list(record.speedups()) == [8]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"max_ell": 2}, "max_ell 2 "),
        ({"correlation": [2, 2]}, "correlation 2, 2 "),
        ({"num_interactions": 3, "correlation": [3, 3, 3]}, "3 layers "),
        ({"edge_irreps": "4x0e+4x1o"}, "edge_irreps 4x0e"),
        ({"radial_type": "gaussian"}, "radial_type gaussian "),
    ],
)
def test_what_symmetrix_does_not_take_is_refused(mace, network_maker, tmp_path, change, told):
    pytest.importorskip("symmetrix", reason="symmetrix-xl is not installed")
    from irrepress.families.mace.checkpoint import make_model

    model = make_model(network_maker(**{**TAKEN, **change}), None)
    with pytest.raises(UserError, match=f"symmetrix does not take {told}.*native or torchscript"):
        deployed(model, "symmetrix", tmp_path / "out")


def planned(model, recipe, **sweep):
    scores = compute_scores(model, [], criteria=["magnitude"])
    return Planning(model, recipe, Sweep(multiple=2, floor=2, **sweep), scores).plan()


def test_plans_stay_within_what_symmetrix_takes(taken):
    """Without being asked to, the same budget leaves it."""
    recipe = Recipe(criterion="magnitude", allocation="greedy", budget=0.3)
    free = taken.narrow(planned(taken, recipe))
    assert taken.family.symmetrix_refusals(free)
    kept = taken.narrow(planned(taken, recipe, deployable="symmetrix"))
    assert taken.family.symmetrix_refusals(kept) == []
    assert kept.parameter_count() < taken.parameter_count()


def test_a_target_that_leaves_symmetrix_is_refused_with_the_nearest(taken):
    explicit = Explicit(irreps="4x0e+4x1o", filter_lmax=1)
    recipe = Recipe(criterion="magnitude", explicit=explicit)
    with pytest.raises(UserError, match=r"nearest that it takes is \{'irreps': '4x0e"):
        planned(taken, recipe, deployable="symmetrix")
    nearest = Recipe(criterion="magnitude", explicit=Explicit(irreps="4x0e+4x1o"))
    small = taken.narrow(planned(taken, nearest, deployable="symmetrix"))
    assert taken.family.symmetrix_refusals(small) == []


def test_a_parent_that_symmetrix_does_not_take_is_told(mace, network_maker):
    from irrepress.families.mace.checkpoint import make_model

    model = make_model(network_maker(), None)
    recipe = Recipe(criterion="magnitude", allocation="greedy", budget=0.5)
    with pytest.raises(UserError, match="does not take the parent, for max_ell 2"):
        planned(model, recipe, deployable="symmetrix")


def test_layers_that_symmetrix_needs_are_told(taken):
    recipe = Recipe(criterion="magnitude", allocation="greedy", budget=0.3, layers=1)
    message = r"does not take the layers 0 alone, for 1 layer \(it takes 2\); leave 'layers' out"
    with pytest.raises(UserError, match=message):
        planned(taken, recipe, deployable="symmetrix")


@pytest.mark.slow
def test_a_budget_may_be_timed_in_symmetrix_beside_the_parent(taken, tmp_path, monkeypatch):
    """And a plan then keeps to what it takes, and says what its factor is of."""
    pytest.importorskip("symmetrix", reason="symmetrix-xl is not installed")
    monkeypatch.setenv("PATH", "")  # without a compiler each shape is ready at once
    import irrepress

    taken.save(tmp_path / "model.pt", dtype=taken.dtype)
    potential = irrepress.load(tmp_path / "model.pt", family="mace", device="cpu")
    few = {"timed_shapes": 12, "timing_atoms": 8, "timing_repeats": 1, "multiple": 2, "floor": 2}
    asked = {"speedup": 1.02, "runtime": "symmetrix", "criterion": "magnitude"}
    with pytest.raises(UserError, match="allocation: 'iterated' does not keep plans to what"):
        Planning(
            taken,
            Recipe(criterion="magnitude", allocation="iterated", budget=0.5),
            Sweep(unit="time", runtime="symmetrix"),
            compute_scores(taken, [], criteria=["magnitude"]),
        ).plan()
    pruning = potential.plan(**asked, **few)
    timed_in = {"runtime": "symmetrix", "code": f"symmetrix-xl {version('symmetrix-xl')}"}
    assert pruning.plan.provenance["timed_in"] == pruning.summary["timed_in"] == timed_in
    assert "as fast in symmetrix" in str(pruning)
    small = pruning.apply()
    assert small.model.family.symmetrix_refusals(small.model) == []
    assert small.card.stages[-1]["provenance"]["timed_in"] == timed_in


def test_a_parent_that_symmetrix_does_not_take_has_no_times_there(mace, network_maker, tmp_path):
    pytest.importorskip("symmetrix", reason="symmetrix-xl is not installed")
    from irrepress.deploy.runtimes import check_runtime
    from irrepress.families.mace.checkpoint import make_model

    with pytest.raises(UserError, match=r"^--runtime: symmetrix does not take the parent, for max"):
        check_runtime(make_model(network_maker(), None), "symmetrix", "--runtime")


def test_a_real_model_is_the_same_in_symmetrix(mace, real_file, tmp_path):
    """The H C N O model with real weights."""
    pytest.importorskip("symmetrix", reason="symmetrix-xl is not installed")
    model = mace.load(real_file("mace-ani-cc-64x0e"))
    if refusals := model.family.symmetrix_refusals(model):
        pytest.skip(f"symmetrix does not take the handed model: {refusals}")
    record = deployed(model, "symmetrix", tmp_path / "out")
    for quantity, difference in record.differences.items():
        assert 0 < difference < record.tolerance[quantity]
