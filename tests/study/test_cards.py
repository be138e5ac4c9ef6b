import json

import pytest
from parent_cards import parent_card

from irrepress.core.errors import UserError
from irrepress.core.files import write_json
from irrepress.study.cards import Card, check_model, versions


@pytest.fixture
def parent(tmp_path):
    model = tmp_path / "model.pt"
    model.write_bytes(b"weights")
    return parent_card(
        model,
        name="m/parent/original",
        shape={"irreps": ["128x0e"]},
        parameters=842_623,
        seed=3,
    )


def test_a_derived_card_remembers_its_parent_and_adds_its_stage(tmp_path, parent):
    model = tmp_path / "small.pt"
    model.write_bytes(b"fewer weights")
    shape = {"irreps": ["64x0e"]}

    def derive(origin, name):
        return origin.derive(
            model,
            name=name,
            shape=shape,
            parameters=10,
            stage={"stage": name},
            seed=4,
        )

    card = derive(derive(parent, "pruned"), "recovered")
    assert [stage["stage"] for stage in card.stages] == ["pruned", "recovered"]
    assert card.parent_sha256 == "0" * 64
    assert card.checkpoint == "7net-0"
    assert card.sha256 != parent.sha256
    assert parent.stages == []


def test_a_card_survives_its_file(tmp_path, parent):
    parent.save(tmp_path / "card.json")
    assert Card.load(tmp_path / "card.json") == parent


def test_another_json_is_not_a_card(tmp_path):
    (tmp_path / "card.json").write_text("[]")
    with pytest.raises(UserError, match="not a model card"):
        Card.load(tmp_path / "card.json")


@pytest.mark.parametrize(
    "key", ["name", "family", "checkpoint", "sha256", "shape", "parameters", "stages", "versions"]
)
def test_a_key_that_a_card_lacks_is_named(tmp_path, parent, key):
    path = tmp_path / "card.json"
    path.write_text(json.dumps({k: v for k, v in parent.content().items() if k != key}))
    with pytest.raises(UserError, match=rf"card\.json: {key}: field required; delete the file"):
        Card.load(path)


def test_a_card_of_another_version_says_which_is_read(tmp_path, parent):
    write_json(tmp_path / "card.json", parent.content() | {"schema_version": 7})
    with pytest.raises(UserError, match=r"schema_version: is 7, this version .* reads 1"):
        Card.load(tmp_path / "card.json")


def test_a_stage_without_a_name_is_told(tmp_path, parent):
    stages = [{"plan": "taylor-0.50"}]
    write_json(tmp_path / "card.json", parent.content() | {"stages": stages})
    with pytest.raises(UserError, match=r"card\.json: stages\.0: .* lacks the key 'stage'"):
        Card.load(tmp_path / "card.json")


def test_a_model_is_compared_with_its_card(tmp_path, parent):
    parent.save(tmp_path / "card.json")
    check_model(tmp_path / "model.pt")


def test_a_model_that_was_changed_is_refused_with_both_sums(tmp_path, parent):
    folder = tmp_path / "changed"
    folder.mkdir()
    (folder / "model.pt").write_bytes(b"weightS")  # one bit
    parent.save(folder / "card.json")
    changed = r"model\.pt: its SHA-256 is [0-9a-f]{64}, but .*card\.json was written for"
    with pytest.raises(UserError, match=rf"{changed} .*{parent.sha256}.* run the workflow"):
        check_model(folder / "model.pt")


def test_a_model_without_a_card_is_refused(tmp_path, parent):
    with pytest.raises(UserError, match=r"card\.json: cannot be read"):
        check_model(tmp_path / "model.pt")


def test_versions_name_what_results_depend_on():
    assert {"python", "irrepress", "torch", "numpy"} <= set(versions())
