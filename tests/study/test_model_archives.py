import copy
import json
import os
import tarfile

import pytest
from parent_cards import parent_card

from irrepress.core.errors import UserError
from irrepress.study.archives import licence_text, methods_text, write_archive

STAGES = [
    {
        "stage": "pruned",
        "plan": "taylor-0.50",
        "provenance": {"criterion": "taylor", "budget": 0.5, "unit": "flops"},
    },
    {"stage": "compensated", "dataset": "foundation", "structures": 6},
    {
        "stage": "recovered",
        "dataset": "foundation",
        "labels": "PBE",
        "settings": {"batch_size": 8, "learning_rate": 1e-3},
        "steps": 40,
        "seed": 1,
    },
    {"stage": "int8", "bits": 8, "of": "recovered"},
]


@pytest.fixture
def made(tmp_path):
    model = tmp_path / "model.pt"
    model.write_bytes(b"weights")
    card = parent_card(
        model,
        name="m/taylor-0.50/recovered",
        parameters=12345,
        licence="GPL-3.0",
        seed=1,
        stages=copy.deepcopy(STAGES),
    )
    card.save(tmp_path / "card.json")
    return tmp_path, card


def test_an_archive_holds_all_that_belongs_to_a_model_and_is_always_the_same(made):
    directory, card = made
    files = {"model.pt": directory / "model.pt"}
    for name in ("first", "second"):
        write_archive(directory / name / "m.tar.gz", files, directory / "card.json")
        os.utime(directory / "model.pt", (1, 1))
    first, second = (directory / name / "m.tar.gz" for name in ("first", "second"))
    assert first.read_bytes() == second.read_bytes()
    with tarfile.open(first) as archive:
        assert archive.getnames() == [
            f"m/{name}" for name in ("LICENCE.txt", "METHODS.md", "card.json", "model.pt")
        ]
        assert archive.extractfile("m/model.pt").read() == b"weights"
        packed = json.load(archive.extractfile("m/card.json"))
    assert packed == {key: value for key, value in card.content().items() if key != "created"}


def test_equal_models_give_equal_archives_however_long_they_took(made):
    directory, card = made
    archives = []
    for seconds in (1.5, 2.5):
        run = directory / str(seconds)
        run.mkdir()
        again = card.model_copy(
            deep=True, update={"created": f"2026-01-01T00:00:0{seconds:.0f}+00:00"}
        )
        again.stages[2]["seconds"] = seconds
        again.save(run / "card.json")
        cost = {"parameters": 12345, "seconds": seconds, "time_ratio": seconds, "busy": seconds > 2}
        metrics = {"errors": {"labels": {"energy_mae": 0.1}}, "cost": cost}
        (run / "metrics.json").write_text(json.dumps(metrics))
        files = {"model.pt": directory / "model.pt", "metrics.json": run / "metrics.json"}
        write_archive(run / "m.tar.gz", files, run / "card.json")
        archives.append((run / "m.tar.gz").read_bytes())
    assert archives[0] == archives[1]
    with tarfile.open(run / "m.tar.gz") as archive:
        packed = json.load(archive.extractfile("m/metrics.json"))
        assert packed == metrics | {"cost": {"parameters": 12345}}
        assert "seconds" not in archive.extractfile("m/METHODS.md").read().decode()


@pytest.mark.parametrize("key", ["provenance", "plan"])
def test_a_stage_that_lacks_what_methods_tell_is_named(made, key):
    directory, card = made
    del card.stages[0][key]
    card.save(directory / "card.json")
    with pytest.raises(UserError, match=rf"card\.json: the key '{key}' .* is missing; delete"):
        write_archive(
            directory / "m.tar.gz", {"model.pt": directory / "model.pt"}, directory / "card.json"
        )


def test_methods_tell_every_stage_in_order(made):
    _, card = made
    text = methods_text(card)
    told = ["7net-0", "criterion taylor", "0.5 of its flops", "6 structures", "for 40 steps"]
    places = [text.index(each) for each in [*told, "8 bits", "12,345 parameters"]]
    assert places == sorted(places)
    assert "2605.08885" in text and "GPL-3.0" in licence_text(card)


def test_methods_say_that_a_plan_was_edited_by_hand(made):
    _, card = made
    assert "by hand" not in methods_text(card)
    edit = "features.1.1e keeps 8 of 16 instead of 12"
    card.stages[0]["edited"] = [edit]
    text = methods_text(card)
    assert "criterion taylor, 0.5 of its flops, then edited by hand: " + edit in text
    card.stages[0]["provenance"] = {}
    assert "made by hand, then edited" in methods_text(card)


@pytest.mark.parametrize("kept", ["start", "best"])
def test_methods_say_that_a_training_was_rejected(made, kept):
    _, card = made
    card.stages[2]["kept"] = kept
    assert ("the training was rejected" in methods_text(card)) == (kept == "start")


def test_a_card_of_another_model_is_refused(made):
    directory, _ = made
    (directory / "model.pt").write_bytes(b"other weights")
    with pytest.raises(UserError, match=r"model\.pt: its SHA-256 is .*card\.json was written for"):
        write_archive(
            directory / "m.tar.gz", {"model.pt": directory / "model.pt"}, directory / "card.json"
        )
    assert not (directory / "m.tar.gz").exists()
