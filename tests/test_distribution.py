"""What is distributed: the wheel holds library and workflow, and an sdist makes the same wheel."""

import json
import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

import ase.io
import pytest
import yaml
from samples import copper_frames

ROOT = Path(__file__).resolve().parents[1]
WORKFLOW = ("Snakefile", "config", "envs", "profiles", "report", "rules", "scripts")

pytest.importorskip("hatchling", reason="hatchling is not installed in this environment")


def build(tree: Path, target: str, directory: Path) -> Path:
    """Build an sdist or a wheel of a source tree; no network is needed."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", target, "-d", str(directory)]
    subprocess.run(command, cwd=tree, check=True, capture_output=True, timeout=300)
    (built,) = directory.iterdir()
    return built


def files_below(path: Path) -> list[Path]:
    found = sorted(path.rglob("*")) if path.is_dir() else [path]
    return [each for each in found if each.is_file() and "__pycache__" not in each.parts]


def names(wheel: Path) -> set[str]:
    return set(zipfile.ZipFile(wheel).namelist())


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    return build(ROOT, "wheel", tmp_path_factory.mktemp("wheel"))


def test_the_wheel_holds_the_library_and_the_workflow(wheel):
    expected = {path.relative_to(ROOT / "src") for path in files_below(ROOT / "src" / "irrepress")}
    for name in WORKFLOW:
        expected |= {
            Path("irrepress/workflow") / path.relative_to(ROOT) for path in files_below(ROOT / name)
        }
    expected_names = {path.as_posix() for path in expected}
    found = {name for name in names(wheel) if ".dist-info/" not in name}
    assert {"irrepress/py.typed", "irrepress/report/templates/index.html"} <= found
    assert found == expected_names


def test_the_sdist_makes_the_same_wheel(wheel, tmp_path):
    sdist = build(ROOT, "sdist", tmp_path / "sdist")
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path, filter="data")
    tree = tmp_path / sdist.name.removesuffix(".tar.gz")
    assert names(build(tree, "wheel", tmp_path / "wheel")) == names(wheel)


def test_an_editable_installation_copies_nothing(tmp_path):
    code = (
        "import sys; from hatchling.build import build_editable;print(build_editable(sys.argv[1]))"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=300)
    (editable,) = tmp_path.iterdir()
    found = {name for name in names(editable) if ".dist-info/" not in name}
    assert found == {"_irrepress.pth"}
    (line,) = zipfile.ZipFile(editable).read("_irrepress.pth").decode().split()
    assert Path(line) == ROOT / "src"


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory) -> Path:
    """The Python of an environment in which the wheel is installed, beside this one's packages."""
    place = tmp_path_factory.mktemp("environment")
    venv.create(place, symlinks=True, with_pip=True)
    python = place / "bin" / "python"
    (site_packages,) = place.glob("lib/python*/site-packages")
    others = [path for path in sys.path if path.endswith(("site-packages", "dist-packages"))]
    (site_packages / "packages-of-the-tests.pth").write_text("\n".join(others))
    command = [python, "-m", "pip", "install", "--no-deps", "--no-index", "--force-reinstall"]
    subprocess.run([*command, str(wheel)], check=True, capture_output=True, timeout=600)
    return python


@pytest.fixture
def irrepress(installed, tmp_path):
    """Run a command of the installed wheel in an empty folder, and nothing of the source tree."""

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [installed.with_name("irrepress"), *arguments],
            cwd=tmp_path,
            env={"PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1", "HOME": str(tmp_path)},
            capture_output=True,
            text=True,
            timeout=1500,
        )

    return run


SHORT = {"steps": 4, "validate_every": 2}
MODEL = "results/own/7net-0/fisher-0.50/compensated/downstream/mine/finetuned/model.pt"


@pytest.mark.slow
@pytest.mark.workflow
@pytest.mark.timeout(3000)
def test_an_installed_wheel_compresses_in_any_folder(installed, irrepress, tmp_path):
    pytest.importorskip("sevenn", reason="SevenNet is not installed in this environment")
    ase.io.write(tmp_path / "frames.extxyz", copper_frames(12))
    command = ("compress", "7net-0", "frames.extxyz", "--parameters", "0.5", "--out", "own")
    dry = irrepress(*command, "--dry-run")
    assert dry.returncode == 0, dry.stderr
    assert "fine_tune" in dry.stdout and str(installed.parents[1]) not in dry.stderr

    path = tmp_path / "own" / "config.yaml"
    assert f"schema={installed.parents[1]}" in path.read_text().splitlines()[0]
    config = yaml.safe_load(path.read_text())
    config["downstream"]["training"] |= SHORT
    config["scoring"]["structures"] = config["compensation"]["structures"] = 6
    path.write_text(yaml.safe_dump(config))
    done = irrepress(*command, "--cores", "2", "--", MODEL)
    assert done.returncode == 0, done.stderr[-4000:]
    assert f"Model:  own/{MODEL}" in done.stdout
    card = json.loads((tmp_path / "own" / MODEL).with_name("card.json").read_text())
    assert card["stages"][-1]["settings"]["steps"] == 4
    again = irrepress(*command, "--", MODEL)
    assert again.returncode == 0 and "Nothing to be done" in again.stderr + again.stdout


@pytest.mark.slow
def test_an_installed_wheel_says_what_the_machine_has(irrepress):
    done = irrepress("doctor", "--json")
    checks = {check["name"]: check for check in json.loads(done.stdout)}
    assert "irrepress/workflow" in checks["irrepress"]["found"]
    assert checks["packages"]["state"] == "ok"
