"""The tutorials do what they say."""

import contextlib
import json
import re
from pathlib import Path

import pytest
from tutorials import ROOT, TUTORIALS, blocks, clone, follow

from irrepress.study.environments import find_environments

pytestmark = [pytest.mark.workflow, pytest.mark.slow, pytest.mark.timeout(2400)]


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A directory that looks like a clone."""
    clone(tmp_path)
    return tmp_path


def test_every_tutorial_is_followed_by_a_test():
    pages = {path.name for path in TUTORIALS.glob("*.md")} - {"index.md"}
    here = {"from-a-cif.md", "my-system.md", "python.md", "mace-molecules.md"}
    assert pages == here | {"cluster.md"}  # in tests/slurm
    for page in pages:
        assert len(blocks(page)) > 3


def test_from_a_cif(directory, sevennet):
    follow("from-a-cif.md", directory)
    folder = directory / "salt/results/salt"
    metrics = json.loads((folder / "7net-0/fisher-shape/distilled/metrics.json").read_text())
    assert metrics["split"] == "test" and 0 < metrics["errors"]["labels"]["forces_mae"] < 1
    assert (folder / "report/index.html").exists()


def test_my_system(directory, sevennet):
    follow("my-system.md", directory)
    task = "results/silicon/7net-0/fisher-shape/compensated/downstream/mine/finetuned"
    metrics = json.loads((directory / "silicon" / task / "metrics.json").read_text())
    assert metrics["split"] == "test" and 0 < metrics["errors"]["labels"]["forces_mae"] < 1
    assert (directory / "silicon/results/silicon/report/index.html").exists()


def test_five_lines_of_python(directory, sevennet):
    follow("python.md", directory)
    card = json.loads((directory / "small.card.json").read_text())
    stages = [stage["stage"] for stage in card["stages"]]
    assert stages == ["pruned", "compensated", "finetuned"]


def test_the_lines_of_the_readme(directory, sevennet):
    """On fewer frames, with a smaller model and fewer steps."""
    frames = blocks("python.md")[0].text
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    (lines,) = re.findall(r"^```python\n(.*?)^```", readme, re.DOTALL | re.MULTILINE)
    less = {
        '"7net-l3i5"': '"7net-0"',
        "speedup=5": "flops=0.4, structures=2",
        "finetune(frames)": "finetune(frames, steps=2, validate_every=1)",
    }
    for whole, part in less.items():
        assert whole in lines
        lines = lines.replace(whole, part)
    with contextlib.chdir(directory):
        session = {}
        exec(frames.replace("range(24)", "range(12)"), session)
        exec(lines, session)
    assert (directory / "small.pt").exists()


def test_a_mace_model_for_molecules(directory):
    if find_environments(["mace"]).lacking:
        pytest.skip("MACE is not installed in an environment of this source tree")
    follow("mace-molecules.md", directory)
    assert (directory / "results/molecules/report/index.html").exists()
