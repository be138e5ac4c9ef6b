import numpy as np
import pytest

from irrepress.errors import UserError
from irrepress.pruning.blocks import Group
from irrepress.pruning.scores import Scores


@pytest.fixture
def scores():
    groups = [
        Group("filter.1e", 0, "1e", 1, "filter.1e", axis="order"),
        Group("features.2.0e", 2, "0e", 4, "2.0e", floor=2),
    ]
    rng = np.random.default_rng(0)
    values = {
        criterion: {g.name: rng.random(g.channels) for g in groups}
        for criterion in ("taylor", "magnitude")
    }
    return Scores(groups, values)


def test_scores_survive_their_file(tmp_path, scores):
    path = tmp_path / "scores.h5"
    stored = Scores(scores.groups, scores.values, {"parent_sha256": "abc", "structures": 3})
    stored.save(path)
    loaded = Scores.load(path)
    assert list(loaded.groups) == list(scores.groups)
    assert loaded.provenance == {"parent_sha256": "abc", "structures": 3}
    for criterion, groups in scores.values.items():
        for name, values in groups.items():
            np.testing.assert_array_equal(loaded.of(criterion)[name], values)


def test_an_unknown_criterion_names_the_nearest(scores):
    with pytest.raises(UserError, match="did you mean 'taylor'"):
        scores.of("tailor")


def test_another_file_is_not_a_file_of_scores(tmp_path):
    path = tmp_path / "scores.h5"
    path.write_text("no HDF5")
    with pytest.raises(UserError, match="not a readable file of scores"):
        Scores.load(path)
