import ase.io
import pytest
from parent_cards import parent_card
from typer.testing import CliRunner

from irrepress.cli import app


@pytest.fixture(scope="module")
def run():
    runner = CliRunner()
    return lambda *arguments: runner.invoke(app, [str(a) for a in arguments])


@pytest.fixture(scope="module")
def saved(small_sevennet, tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "model.pt"
    small_sevennet.save(path)
    return path


@pytest.fixture
def extxyz(structures, tmp_path):
    path = tmp_path / "own.extxyz"
    ase.io.write(path, [s.to_atoms() for s in structures])
    return path


@pytest.fixture
def card(saved):
    """The card beside the saved model, for the time of a test."""
    path = saved.parent / "card.json"
    parent_card(saved).save(path)
    yield path
    path.unlink()
