import ase.io
import pytest
from typer.testing import CliRunner

from irrepress.cli import app
from irrepress.study.cards import Card


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
    card = Card.of_parent(
        saved,
        name="x",
        family="sevennet",
        checkpoint="7net-0",
        checkpoint_sha256="0" * 64,
        shape={},
        parameters=1,
        licence=None,
        modal=None,
        seed=0,
    )
    card.save(path)
    yield path
    path.unlink()
