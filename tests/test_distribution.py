"""What is distributed: the wheel holds library and workflow, and an sdist makes the same wheel."""

import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

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


@pytest.mark.slow
@pytest.mark.workflow
def test_an_installed_wheel_runs_its_workflow_in_any_folder(installed, tmp_path):
    pytest.importorskip("sevenn", reason="SevenNet is not installed in this environment")
    code = "from irrepress.study.workflow_files import workflow_folder; print(workflow_folder())"
    clean = {"PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1", "HOME": str(tmp_path)}
    options = {"cwd": tmp_path, "env": clean, "capture_output": True, "text": True}
    found = subprocess.run([installed, "-c", code], timeout=60, **options)
    folder = Path(found.stdout.strip())
    assert folder.is_relative_to(installed.parents[1]), found.stderr

    command = [installed, "-m", "snakemake", "results/tiny/sevennet-0/taylor-0.50/pruned/model.pt"]
    command += ["--snakefile", folder / "Snakefile", "--cores", "2", "--configfile"]
    done = subprocess.run([*command, ROOT / "tests/workflow/tiny.yaml"], timeout=800, **options)
    assert done.returncode == 0, done.stderr[-4000:]
    assert (tmp_path / "results/tiny/sevennet-0/taylor-0.50/pruned/card.json").exists()
