"""A study whose model is validated, by the real Snakefile: one that fails is told of everywhere."""

import json

import pandas as pd
import pytest

from irrepress.evaluation.physics.verdicts import Result, Validated

pytestmark = [pytest.mark.workflow, pytest.mark.slow, pytest.mark.timeout(1800)]

DISTILLATION = {"dataset": "cells", "steps": 2, "batch_size": 4, "validate_every": 2}
# A few steps of everything, and time enough on any machine.
VALIDATION = {
    "dataset": "cells",
    "temperatures": [300],
    "minutes": 60,
    "parent_minutes": 60,
    "picoseconds": 0.02,
    "nve_picoseconds": 0.2,
    "equilibration_picoseconds": 0.01,
    "timestep": 4,
    "frames": 2,
    "atoms": 1,
    "phonon_atoms": 2,
}


def test_a_model_that_fails_is_told_of_everywhere(silicon_study, tmp_path):
    done = silicon_study("proven", 0.3, distillation=DISTILLATION, validation=VALIDATION)
    results = tmp_path / "results/proven"
    folder = results / "parent/magnitude-0.30/distilled"
    validated = Validated.load(folder / "validation.json")
    assert validated.result is Result.FAILED
    assert validated.code.startswith("sevenn ")
    assert f"faster code for {validated.code}" in validated.parent_code
    mark = json.loads((folder / "card.json").read_text())["validation"]
    assert (mark["result"], mark["passed"]) == ("failed", False)
    assert mark["failed"] == [str(verdict) for verdict in validated.failures()]
    assert f"  proof   {validated.summary()}" in done.stdout + done.stderr
    page = (results / "report/index.html").read_text()
    header = page[page.index("<header>") : page.index("</header>")]
    assert "Not every model does what its parent does." in header
    table = pd.read_csv(results / "report/validation.csv")
    assert len(table) == len(validated.verdicts)
    assert (table["judged"] == "NOT WITHIN").sum() == len(validated.failures())
    assert {"forces at 300 K", "stability at 300 K"} <= set(table["quantity"])
