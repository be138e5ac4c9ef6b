from dataclasses import fields, replace

import h5py
import numpy as np
import pytest

from irrepress.core.errors import UserError
from irrepress.core.groups import Group
from irrepress.pruning.scores import SCHEMA_VERSION, Scores


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


@pytest.fixture
def path(tmp_path):
    return tmp_path / "scores.h5"


def test_scores_survive_their_file(path, scores):
    stored = Scores(scores.groups, scores.values, {"parent_sha256": "abc", "structures": 3})
    stored.save(path)
    loaded = Scores.load(path)
    assert list(loaded.groups) == list(scores.groups)
    assert loaded.provenance == {"parent_sha256": "abc", "structures": 3}
    for criterion, groups in scores.values.items():
        for name, values in groups.items():
            np.testing.assert_array_equal(loaded.of(criterion)[name], values)


@pytest.mark.parametrize("name", [each.name for each in fields(Group)])
def test_every_field_of_a_group_survives_the_file(path, name):
    """A field that is added to groups and not stored would fall back to its default here."""
    usual = Group("features.2.0e", 2, "0e", 4, "2.0e")
    other = {"axis": "width", "irrep": "1o", "channels": 6}.get(name)
    if other is None:
        other = "other" if isinstance(getattr(usual, name), str) else 7
    group = replace(usual, **{name: other})
    Scores([group], {"taylor": {group.name: np.ones(group.channels)}}).save(path)
    assert Scores.load(path).groups == [group]


def test_an_unknown_criterion_names_the_nearest(scores):
    with pytest.raises(UserError, match="did you mean 'taylor'"):
        scores.of("tailor")


def test_another_file_is_not_a_file_of_scores(path):
    path.write_text("no HDF5")
    with pytest.raises(UserError, match="not a readable file of scores"):
        Scores.load(path)


@pytest.mark.parametrize("version", [1, 99])
def test_a_file_of_an_unknown_version_is_to_be_made_anew(path, scores, version):
    scores.save(path)
    with h5py.File(path, "r+") as file:
        file.attrs["schema_version"] = version
    message = rf"scores\.h5.*schema version is {version}, expected {SCHEMA_VERSION}.*score again"
    with pytest.raises(UserError, match=message):
        Scores.load(path)


@pytest.mark.parametrize("other", [{"axis": "width"}, {"irrep": "0e+1e"}])
def test_version_2_is_refused_where_it_lacks_what_groups_can_have(path, other):
    group = replace(Group("features.2.0e", 2, "0e", 4, "2.0e"), **other)
    Scores([group], {"taylor": {group.name: np.ones(4)}}).save(path)
    with h5py.File(path, "r+") as file:
        file.attrs["schema_version"] = 2
        del file["groups/multiple"], file["groups/sized_like"]
    message = r"scores\.h5: its schema version is 2, which does not record .*score again"
    with pytest.raises(UserError, match=message):
        Scores.load(path)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_scores_that_are_not_finite_are_neither_saved_nor_loaded(path, scores, value, monkeypatch):
    scores.values["taylor"]["features.2.0e"][1] = value
    message = r"scores\.h5: taylor scores of group 'features\.2\.0e' are NaN or inf.* 1 of 4"
    with pytest.raises(UserError, match=message):
        scores.save(path)
    assert not path.exists()
    with monkeypatch.context() as patch:
        patch.setattr(Scores, "check", lambda self, source: None)
        scores.save(path)
    with pytest.raises(UserError, match=message):
        Scores.load(path)


@pytest.mark.parametrize("change", ["absent", "superfluous", "short"])
def test_scores_that_do_not_belong_to_the_groups_are_refused(path, scores, change):
    taylor = scores.values["taylor"]
    if change == "absent":
        del taylor["filter.1e"]
    elif change == "superfluous":
        taylor["filter.2e"] = np.ones(1)
    else:
        taylor["features.2.0e"] = np.ones(3)
    with pytest.raises(UserError, match=r"taylor .*group '(filter|features)\..*; score again"):
        scores.save(path)


def test_zeroed_bytes_are_noticed_wherever_they_are(path, scores):
    """Some break HDF5's structure, some only numbers or text; padding matters to nobody."""
    Scores(scores.groups, scores.values, {"dataset": "silicon"}).save(path)
    content, whole = path.read_bytes(), Scores.load(path)
    refused = 0
    for start in range(0, len(content), 64):
        path.write_bytes(content[:start] + bytes(64) + content[start + 64 :])
        try:
            found = Scores.load(path)
        except UserError as error:
            assert str(error).startswith(f"{path}: ") and "score again" in str(error)
            refused += 1
        else:
            assert found.groups == whole.groups and found.provenance == whole.provenance
            for criterion, groups in whole.values.items():
                for name, values in groups.items():
                    np.testing.assert_array_equal(found.of(criterion)[name], values)
    assert refused > 10
