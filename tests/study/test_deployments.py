"""Which models of a study are deployed, and configs that cannot be."""

from pathlib import Path

import pytest
from pydantic import ValidationError
from study_samples import make_config

from irrepress.study.parameters import apart, parameters
from irrepress.study.paths import StudyPaths
from irrepress.study.sections import Deploy
from irrepress.study.targets import Targets
from irrepress.study.uses import used_datasets

SMALL = {
    "sweep": {"criteria": ["taylor"], "budgets": [0.5], "axes": ["both"]},
    "train_plans": ["taylor-0.50"],
}
PATHS = StudyPaths(Path("results"), Path("logs"))


def test_every_stage_of_trained_plans_is_deployed_for_every_target():
    deploy = {"targets": ["native", "lammps"], "stages": ["recovered"], "dataset": "silicon"}
    config = make_config(deploy=deploy, **SMALL)
    targets = Targets(config, PATHS)
    assert [path.as_posix() for path in targets.deployed()] == [
        f"results/sevennet-0/taylor-0.50/recovered/deploy/{target}/deployment.json"
        for target in ("native", "lammps")
    ]
    assert "deploy" in targets.tables() and "deploy" not in Targets(make_config(), PATHS).tables()
    assert "deployment" in used_datasets(config)["silicon"]


@pytest.mark.parametrize(
    ("deploy", "message"),
    [
        ({"targets": ["symmetrix"]}, "symmetrix takes models of mace, and models.sevennet-0 is of"),
        (
            {"targets": ["native"], "stages": ["refined"]},
            "deploy.stages: 'refined' is not computed",
        ),
        ({"targets": []}, "at least 1"),
        ({"targets": ["native"], "dataset": "quartz"}, "deploy.dataset: no dataset 'quartz'"),
    ],
)
def test_what_cannot_be_deployed_is_told_before_anything_runs(deploy, message):
    with pytest.raises((ValidationError, Exception), match=message):
        make_config(deploy=deploy, **SMALL)


def test_the_command_of_lammps_deploys_nothing_again():
    one, other = Deploy(targets=["lammps"]), Deploy(targets=["lammps"], lammps="mpirun lmp")
    assert parameters(one) == parameters(other) != parameters(Deploy(targets=["native"]))
    assert apart(other)["lammps"] == "mpirun lmp"


def test_cuequivariance_is_a_parameter_where_it_is_asked_for_alone():
    """Studies of versions that did not know it stay valid."""
    assert "cuequivariance" not in parameters(Deploy(targets=["mliap"]))
    assert parameters(Deploy(targets=["mliap"], cuequivariance=True))["cuequivariance"] is True
