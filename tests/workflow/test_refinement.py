"""A study from bare structures to a refined model, by the real Snakefile."""

import json

import pytest

from irrepress.data.store import StructureStore

pytestmark = [pytest.mark.workflow, pytest.mark.slow, pytest.mark.timeout(1200)]

TRAINING = {"dataset": "cells", "steps": 3, "batch_size": 4, "validate_every": 3}
REFINEMENT = {
    **TRAINING,
    "of": "cells",
    "temperatures": [300, 600],
    "rounds": 1,
    "runs": 2,
    "frames": 4,
    "dynamics_steps": 6,
    "atoms": 2,
    "held_out": 0.5,
}


def test_a_study_ends_at_a_refined_model(silicon_study, tmp_path):
    silicon_study("refined", 0.5, distillation=TRAINING, refinement=REFINEMENT)
    results = tmp_path / "results/refined"
    folder = results / "parent/magnitude-0.50/refined"
    names = {path.name for path in folder.iterdir()}
    assert names == {"card.json", "frames.h5", "metrics.json", "model.pt", "training.csv"}
    stages = json.loads((folder / "card.json").read_text())["stages"]
    assert [stage["stage"] for stage in stages] == ["pruned", "distilled", "refined"]
    rounds = stages[-1]["rounds"]
    assert [each["number"] for each in rounds] == [0, 1]
    assert all(each["departure"] > 0 and not each["broke"] for each in rounds)
    frames = StructureStore(folder / "frames.h5")
    assert len(frames.splits["train"]) == rounds[0]["added"] > 0
    page = (results / "report/index.html").read_text()
    assert "Refinement runs dynamics with the compressed model" in page
    assert "Errors on new dynamics, before the training of" in page
    log = (tmp_path / "logs/refined/parent/magnitude-0.50/refined/model.log").read_text()
    assert "frames of new dynamics" in log and "refinement ends: the last round is done" in log
