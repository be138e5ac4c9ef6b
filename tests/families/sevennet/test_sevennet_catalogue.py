import pytest

from irrepress.catalogue.checkpoints.sevennet import (
    KEYWORDS,
    MODALS,
    SETTINGS,
    SPELLINGS,
    check_checkpoint,
)
from irrepress.core.errors import UserError


def test_the_keywords_are_sevenns(monkeypatch):
    util = pytest.importorskip("sevenn.util")
    monkeypatch.setattr(util, "download_checkpoint", lambda path, url: path)
    assert set(KEYWORDS) == set(util.get_available_pretrained_models())
    for spelling, keyword in SPELLINGS.items():
        path = util.pretrained_name_to_path(keyword)
        assert util.pretrained_name_to_path(spelling.upper()) == path
        check_checkpoint(spelling.upper())


def test_the_modals_are_the_checkpoints(sevennet):
    for keyword, modals in MODALS.items():
        given = None if modals else "PBE"
        message = f"choose one of {', '.join(modals)}$" if modals else "has no modals"
        with pytest.raises(UserError, match=message):
            sevennet.load(keyword, modal=given)


def test_an_unknown_keyword_names_the_nearest():
    with pytest.raises(UserError, match=r"7net-9: neither a file nor .* did you mean '7net-"):
        check_checkpoint("7net-9")


def test_every_setting_has_a_default():
    from irrepress.families.sevennet.untrained import DEFAULTS

    assert tuple(DEFAULTS) == SETTINGS
