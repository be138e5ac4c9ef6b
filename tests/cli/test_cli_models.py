import json

import pytest

from irrepress.quantization.packing import pack
from irrepress.study.cards import Card


def test_inspect_shows_the_model(run, saved, small_sevennet):
    result = run("inspect", saved)
    assert result.exit_code == 0, result.output
    assert "16x0e+8x1e+4x2e" in result.output
    assert "features.2.1e" in result.output
    content = json.loads(run("inspect", saved, "--json").output)
    assert content["parameters"] == small_sevennet.parameter_count()
    assert content["family"] == "sevennet"


def test_card_prints_the_card_beside_a_model(run, saved, card):
    assert json.loads(run("card", saved).output) == Card.load(card).content()


def test_a_model_that_is_not_the_cards_is_looked_at_with_a_warning(run, saved, card, extxyz):
    Card.load(card).model_copy(update={"sha256": "1" * 64}).save(card)
    for command in (["inspect", saved], ["evaluate", saved, extxyz, "--device", "cpu"]):
        result = run(*command, "--json")
        assert result.exit_code == 0, result.output
        assert "warning: " in result.stderr and "1" * 64 in result.stderr
        json.loads(result.stdout)


@pytest.mark.parametrize("content", ['{"made by": "another program"}', "[]", "{"])
def test_a_card_of_another_program_is_left_aside(run, saved, content):
    path = saved.parent / "card.json"
    path.write_text(content)
    try:
        result = run("inspect", saved, "--json")
    finally:
        path.unlink()
    assert result.exit_code == 0, result.output
    assert "card.json: ignored, as it is not a card of irrepress" in result.stderr
    assert json.loads(result.stdout)["family"] == "sevennet"


def test_unpack_gives_a_native_model(run, sevennet, small_sevennet, tmp_path):
    packed, output = tmp_path / "packed.pt", tmp_path / "model.pt"
    pack(small_sevennet, packed)
    result = run("unpack", packed, output)
    assert result.exit_code == 0, result.output
    assert sevennet.load(output).parameter_count() == small_sevennet.parameter_count()


def test_export_writes_a_native_model(run, saved, sevennet, tmp_path):
    output = tmp_path / "exported.pt"
    result = run("export", saved, output, "--dtype", "float32")
    assert result.exit_code == 0, result.output
    expected = sevennet.load(saved).state_dict()
    for name, tensor in sevennet.load(output).state_dict().items():
        assert tensor.equal(expected[name]), name
    wrong = run("export", saved, output, "--dtype", "float23")
    assert wrong.exit_code == 2 and "float23" in wrong.output
    wrong = run("export", saved, output, "--dtype", "float64")
    assert wrong.exit_code == 2 and "only support float32" in wrong.output
