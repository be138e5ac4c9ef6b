"""The studies of MACE in config/: they can be planned, and their checkpoints be brought."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml

# Not "mace" alone: that is the name of this folder, too.
pytest.importorskip("mace.modules", reason="MACE is not installed in this environment")
pytest.importorskip("snakemake", reason="Snakemake is not installed in this environment")

from irrepress.study.reading import load_config

ROOT = Path(__file__).resolve().parents[3]
LARGE = "2024-01-07-mace-128-L2_epoch-199.model"
ACCEPTED = {
    "models": {f"mace-off23-{size}": {"licence": "ASL"} for size in ("large", "medium", "small")},
    "datasets": {"foundation": {"accept_licence": "MACE-OFF23"}},
}


def snakemake(
    directory: Path, *arguments: str, configs: list[Path]
) -> subprocess.CompletedProcess[str]:
    """Run the Snakefile in a directory of its own."""
    return subprocess.run(
        [
            *(sys.executable, "-m", "snakemake", *arguments, "--cores", "1"),
            *("--snakefile", str(ROOT / "Snakefile"), "--directory", str(directory)),
            *("--configfile", *map(str, configs)),
        ],
        capture_output=True,
        text=True,
        timeout=900,
    )


def job_counts(done: subprocess.CompletedProcess[str]) -> dict[str, int]:
    """Read Snakemake's table of jobs."""
    assert done.returncode == 0, done.stderr[-3000:]
    rows = re.findall(r"^(\w+) +(\d+)$", done.stdout + done.stderr, flags=re.MULTILINE)
    return {rule: int(count) for rule, count in rows if rule not in ("all", "total")}


@pytest.mark.parametrize("name", ["config", "mace-off"])
def test_the_papers_studies_can_be_planned(tmp_path, name):
    path = ROOT / "config" / f"{name}.yaml"
    configs = [path]
    if name == "mace-off":
        configs.append(tmp_path / "accepted.yaml")
        configs[1].write_text(yaml.safe_dump(ACCEPTED))
    counts = job_counts(snakemake(tmp_path, "--dry-run", configs=configs))
    config = load_config(path)
    assert len(config.downstream.datasets) == 8 and len(config.models) == 3
    assert config.compressed_models() == [f"mace-{'mp-0' if name == 'config' else 'off23'}-large"]
    trained, plans = len(config.train_plans), len(config.plans())
    assert counts["fine_tune"] == 8 * (2 * trained + 1)
    assert counts["restrict"] == 8
    assert counts["parent"] == 3
    assert counts["prune"] == plans
    # Three checkpoints beside the data.
    data = 8 if name == "config" else 2
    assert counts["download"] >= 3 + 1 and counts["download"] <= 3 + 1 + data + 1


def test_a_study_with_shorter_cutoffs_can_be_planned(tmp_path):
    content = yaml.safe_load((ROOT / "config" / "config.yaml").read_text())
    before = len(load_config(ROOT / "config" / "config.yaml").plans())
    content["sweep"] |= {"cutoffs": [None, 5.0]}
    content["sweep"]["explicit"] = {**content["sweep"].get("explicit", {}), "near": {"cutoff": 5.0}}
    path = tmp_path / "cutoffs.yaml"
    path.write_text(yaml.safe_dump(content))
    plans = load_config(path).plans()
    assert len(plans) > before and any(name.endswith("-5A") for name in plans)
    counts = job_counts(snakemake(tmp_path, "--dry-run", configs=[path]))
    assert counts["prune"] == len(plans)


def test_licences_are_told_before_any_job(tmp_path):
    done = snakemake(tmp_path, "--dry-run", configs=[ROOT / "config" / "mace-off.yaml"])
    assert done.returncode != 0
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 4, done.stderr
    assert sum("set licence: 'ASL'" in line for line in lines) == 3
    assert "set accept_licence: 'MACE-OFF23'" in lines[-1]


@pytest.mark.slow
def test_a_checkpoint_comes_from_the_mirror(network_maker, tmp_path):
    """A stand-in of a small model under the official name of the file."""
    mirror = tmp_path / "mirror" / "mace"
    mirror.mkdir(parents=True)
    network = network_maker(dtype=torch.float32)
    torch.save(network, mirror / LARGE)
    override = tmp_path / "mirrored.yaml"
    override.write_text(yaml.safe_dump({"downloads": {"mirror": str(mirror.parent)}}))
    target = "results/mace-mp/mace-mp-0-large/parent/original/model.pt"
    configs = [ROOT / "config" / "config.yaml", override]
    done = snakemake(tmp_path, target, configs=configs)
    assert done.returncode == 0, done.stderr[-3000:]
    assert (tmp_path / "downloads" / "mace" / LARGE).is_file()
    card = json.loads((tmp_path / target).with_name("card.json").read_text())
    assert card["licence"] == "MIT" and card["checkpoint"] == "mace-mp-0-large"
    record = json.loads((tmp_path / "downloads" / "mace" / f"{LARGE}.json").read_text())
    assert card["parent_sha256"] == record["sha256"]
    assert card["parameters"] == sum(p.numel() for p in network.parameters())
    log = tmp_path / "logs/mace-mp/mace-mp-0-large/parent/original/model.log"
    assert "licence MIT" in log.read_text()
