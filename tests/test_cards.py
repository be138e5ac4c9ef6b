import pytest

from irrepress.cards import derived_card, parent_card, read_card, versions, write_card
from irrepress.errors import UserError


@pytest.fixture
def parent(tmp_path):
    model = tmp_path / "model.pt"
    model.write_bytes(b"weights")
    return parent_card(
        name="m/parent/original",
        model_path=model,
        family="sevennet",
        checkpoint="7net-0",
        checkpoint_sha256="0" * 64,
        shape={"irreps": ["128x0e"]},
        parameters=842_623,
        licence=None,
        modal=None,
        seed=3,
    )


def test_a_derived_card_remembers_its_parent_and_adds_its_stage(tmp_path, parent):
    model = tmp_path / "small.pt"
    model.write_bytes(b"fewer weights")
    shape = {"irreps": ["64x0e"]}

    def derive(origin, name):
        return derived_card(
            origin,
            name=name,
            model_path=model,
            shape=shape,
            parameters=10,
            stage={"stage": name},
            seed=4,
        )

    card = derive(derive(parent, "pruned"), "recovered")
    assert [stage["stage"] for stage in card["stages"]] == ["pruned", "recovered"]
    assert card["parent_sha256"] == "0" * 64
    assert card["checkpoint"] == "7net-0"
    assert card["sha256"] != parent["sha256"]
    assert parent["stages"] == []


def test_a_card_survives_its_file(tmp_path, parent):
    write_card(tmp_path / "card.json", parent)
    assert read_card(tmp_path / "card.json") == parent


def test_another_json_is_not_a_card(tmp_path):
    (tmp_path / "card.json").write_text("[]")
    with pytest.raises(UserError, match="not a model card"):
        read_card(tmp_path / "card.json")


def test_versions_name_what_results_depend_on():
    assert {"python", "irrepress", "torch", "numpy"} <= set(versions())
