"""Licences and citations of a config in the records of its study."""

import json
import os

import pytest

from irrepress.catalogue.model_ref import ModelRef
from irrepress.core.files import write_json
from irrepress.study.cards import UNKNOWN_LICENCE
from irrepress.study.licences import model_licence, outdated, update
from irrepress.study.paths import StudyPaths
from irrepress.study.reading import parse_config


@pytest.fixture
def study(tmp_path):
    """The config of a study by its licence, and two cards of its model."""
    content = {
        "name": "s",
        "datasets": {"d": {"source": "generated", "systems": ["silicon"]}},
        "scoring": {"dataset": "d"},
        "evaluation": {"dataset": "d"},
    }
    content["datasets"]["d"]["labels"] = {"family": "sevennet", "checkpoint": "7net-0"}

    def config(licence):
        model = {"family": "sevennet", "checkpoint": "m.pth", "licence": licence}
        return parse_config(content | {"models": {"m": model}})

    cards = [tmp_path / "m" / place / "card.json" for place in ("parent/original", "p/pruned")]
    for card in cards:
        write_json(card, {"schema_version": 1, "licence": "MIT", "stages": []})
        os.utime(card, ns=(10**18, 10**18 + 5))
    return config, cards


def test_cards_get_the_licence_of_the_config_and_keep_their_times(study, tmp_path):
    config, cards = study
    paths = StudyPaths.at(tmp_path)
    assert list(outdated(config("MIT"), paths)) == []
    found = list(outdated(config("GPL-3.0"), paths))
    assert [path for path, _ in found] == sorted(cards, key=str)
    for path, texts in found:
        update(path, texts)
        assert json.loads(path.read_text())["licence"] == "GPL-3.0"
        assert path.stat().st_mtime_ns == 10**18 + 5
    assert list(outdated(config("GPL-3.0"), paths)) == []


def test_what_is_no_card_is_left_to_those_who_read_it(study, tmp_path):
    config, cards = study
    cards[0].write_text("[1]")
    cards[1].write_text("{")
    paths = StudyPaths.at(tmp_path)
    assert list(outdated(config("GPL-3.0"), paths)) == []


def test_licences_of_models():
    def reference(family, checkpoint, **options):
        return ModelRef(family=family, checkpoint=checkpoint, **options)

    assert model_licence(reference("sevennet", "mine.pth")) == UNKNOWN_LICENCE
    assert model_licence(reference("sevennet", "mine.pth", licence="MIT")) == "MIT"
    assert model_licence(reference("mace", "mace-mp-0-small")) == "MIT"
