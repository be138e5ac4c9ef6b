"""The tutorials do what they say."""

import json
from pathlib import Path

import pytest
from tutorials import TUTORIALS, blocks, clone, follow

from irrepress.study.environments import find_environments

pytestmark = [pytest.mark.workflow, pytest.mark.slow, pytest.mark.timeout(2400)]


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A directory that looks like a clone."""
    clone(tmp_path)
    return tmp_path


def test_every_tutorial_is_followed_by_a_test():
    pages = {path.name for path in TUTORIALS.glob("*.md")} - {"index.md"}
    assert pages == {"my-system.md", "mace-molecules.md", "cluster.md"}  # the last in tests/slurm
    for page in pages:
        assert {block.language for block in blocks(page)} >= {"sh", "yaml"}


def test_my_system(directory, sevennet):
    follow("my-system.md", directory)
    task = directory / "results/silicon/large/fisher-fast/compensated/downstream/mine/finetuned"
    metrics = json.loads((task / "metrics.json").read_text())
    assert metrics["split"] == "test" and 0 < metrics["errors"]["labels"]["forces_mae"] < 1


def test_a_mace_model_for_molecules(directory):
    if find_environments(["mace"]).lacking:
        pytest.skip("MACE is not installed in an environment of this source tree")
    follow("mace-molecules.md", directory)
    assert (directory / "results/molecules/report/index.html").exists()
