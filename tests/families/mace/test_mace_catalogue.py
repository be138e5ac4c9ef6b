"""Named checkpoints: keywords, downloads, licences, shapes."""

import hashlib
import json
from dataclasses import replace

import pytest
from file_server import FileServer
from typer.testing import CliRunner

# Not "mace" alone: that is the name of this folder, too.
pytest.importorskip("mace.modules", reason="MACE is not installed in this environment")

from irrepress.catalogue.checkpoints import mace as catalogue
from irrepress.catalogue.families import check_keyword, find_checkpoint_file, published_checkpoint
from irrepress.cli import app
from irrepress.core.errors import UserError
from irrepress.families.mace.untrained import DEFAULTS


@pytest.fixture
def served(network_maker, monkeypatch, tmp_path):
    """A function that lets a keyword's file come from a server on loopback."""
    import torch

    path = tmp_path / "source.model"
    torch.save(network_maker(dtype=torch.float32), path)
    monkeypatch.setenv("IRREPRESS_CHECKPOINTS", str(tmp_path / "kept"))
    with FileServer(path.read_bytes()).running() as server:

        def serve(keyword: str, checksum: str | None) -> FileServer:
            found = catalogue.CHECKPOINTS[keyword]
            file = replace(found.file, urls=(f"{server.url}/model",), checksum=checksum)
            monkeypatch.setitem(catalogue.CHECKPOINTS, keyword, replace(found, file=file))
            return server

        yield serve


def test_keyword_is_downloaded_once_and_recorded(mace, served, tmp_path):
    server = served("mace-mp-0-small", None)
    path = mace.resolve("mace-mp-0-small")
    assert path == tmp_path / "kept" / "mace" / "2023-12-10-mace-128-L0_energy_epoch-249.model"
    record = path.with_name(f"{path.name}.sha256").read_text()
    assert record.split()[0] == hashlib.sha256(server.content).hexdigest()
    assert mace.load("MACE-MP-0-small").elements[0] == 1
    assert len(server.requests) == 1


def test_wrong_file_is_refused(mace, served):
    served("mace-off23-small", "sha256:" + "0" * 64)
    with pytest.raises(UserError, match=r"MACE-OFF23_small\.model: not downloaded.*expected 000"):
        mace.resolve("mace-off23-small", licence="ASL")


def test_restricted_licence_must_be_named(mace, served):
    server = served("mace-off23-small", None)
    for licence in (None, "MIT"):
        with pytest.raises(UserError, match=r"Academic Software License.*set licence: 'ASL'"):
            mace.resolve("mace-off23-small", licence=licence)
    with pytest.raises(UserError, match="ASL"):
        mace.load("mace-off23-small")
    assert not server.requests
    assert mace.resolve("mace-off23-small", licence="ASL").is_file()


def test_licence_is_checked_before_any_job():
    with pytest.raises(UserError, match="non-commercial"):
        check_keyword("mace", "mace-off23-large", None)
    check_keyword("mace", "mace-off23-large", "ASL")
    check_keyword("mace", "mace-mp-0-large", None)
    check_keyword("sevennet", "7net-0", None)
    with pytest.raises(UserError, match="a size alone is ambiguous"):
        check_keyword("mace", "large", None)


def test_files_are_found_for_the_workflow():
    file, licence = published_checkpoint("mace", "MACE-OFF23-large")
    assert file.name == "MACE-OFF23_large.model" and licence.name == "ASL"
    assert find_checkpoint_file("mace", file.name) is file
    assert find_checkpoint_file("mace", "MACE_MPtrj_2022.9.model") is None
    for family, keyword in (("sevennet", "7net-0"), ("mace", "my.model")):
        assert published_checkpoint(family, keyword) is None


def test_licence_is_accepted_on_the_command_line(served):
    server = served("mace-off23-small", None)
    arguments = ["inspect", "mace-off23-small", "--family", "mace", "--json"]
    refused = CliRunner().invoke(app, arguments)
    assert refused.exit_code == 2 and not server.requests
    assert "non-commercial" in refused.output and "--licence ASL" in refused.output
    shown = CliRunner().invoke(app, [*arguments, "--licence", "ASL"])
    assert shown.exit_code == 0, shown.output
    assert json.loads(shown.stdout)["family"] == "mace" and len(server.requests) == 1


@pytest.mark.parametrize("size", ["small", "medium", "large", "Large"])
def test_sizes_alone_are_no_keywords(mace, size):
    """mace's own keyword ``large`` brings an older model."""
    with pytest.raises(UserError, match=rf"MACE_MPtrj_2022\.9.*mace-mp-0-{size.lower()}"):
        mace.load(size)


def test_unknown_keyword_names_the_nearest(mace):
    with pytest.raises(UserError, match=r"mace-mp-0-larg: .*did you mean 'mace-mp-0-large'"):
        mace.load("mace-mp-0-larg")


def test_official_files_are_known():
    for keyword, found in catalogue.CHECKPOINTS.items():
        (url,) = found.file.urls
        assert url.startswith("https://github.com/ACEsuit/") and url.endswith(".model")
        assert found.licence.restricted == (found.file.checksum is not None), keyword
    assert "2022" not in catalogue.CHECKPOINTS["mace-mp-0-large"].file.name


def test_every_setting_has_a_default():
    assert tuple(DEFAULTS) == catalogue.SETTINGS
