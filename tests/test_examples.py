"""The examples in docstrings run, save those of families, which need a package of their own.

As the docstring of `irrepress` says, they share a model, four labelled structures and the config
of a study.
"""

import ast
import doctest
import functools
import importlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ase.build import bulk

import irrepress
from irrepress.core.structure import Structure
from irrepress.data.layout import StoreInfo
from irrepress.data.store import StructureStore
from irrepress.data.writing import write_store
from irrepress.families import get_family
from irrepress.study.config import Config

ROOT = Path(irrepress.__file__).parent
MODULES = [
    path.relative_to(ROOT)
    for path in sorted(ROOT.rglob("*.py"))
    if "families" not in path.relative_to(ROOT).parts
]
EXAMPLES = [
    path.with_suffix("").as_posix() for path in MODULES if ">>> " in (ROOT / path).read_text()
]
# Every public class of these packages has an example.
COMPLETE = (
    "core",
    "catalogue",
    "download",
    "data",
    "pruning",
    "quantization",
    "training",
    "deploy",
    "evaluation",
    "study",
)


CONFIG = {
    "name": "tiny",
    "datasets": {"silicon": {"source": "files", "paths": ["silicon.xyz"]}},
    "models": {"m": {"family": "sevennet", "checkpoint": "7net-0"}},
    "scoring": {"dataset": "silicon"},
    "evaluation": {"dataset": "silicon"},
}


@pytest.fixture(scope="module")
def names(tmp_path_factory):
    """The names that examples use without defining them."""
    structures = []
    for seed in range(4):
        atoms = bulk("Si")
        atoms.rattle(0.1, seed=seed)
        labels = {"energy": -10.8, "forces": np.zeros((2, 3)), "stress": np.zeros(6)}
        structures.append(replace(Structure.unlabelled(atoms), **labels))
    path = tmp_path_factory.mktemp("examples") / "silicon.h5"
    info = StoreInfo("ASE", "MIT", "", level_of_theory="PBE", labels="PBE", checksum="")
    write_store(path, structures, info, {"train": [0, 1], "valid": [2], "test": [3]}, seed=0)
    return {
        "model": get_family("sevennet").load("7net-0"),
        "structures": structures,
        "store": StructureStore(path),
        "config": Config.model_validate(CONFIG),
    }


@pytest.fixture(scope="module", autouse=True)
def loaded_once():
    """Read a checkpoint once for all examples, which do not change its model."""
    family = type(get_family("sevennet"))
    load = family.load

    @functools.cache
    def cached(source, **options):
        return load(get_family("sevennet"), source, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(family, "load", lambda self, source, **options: cached(source, **options))
        yield


@pytest.mark.parametrize("module", EXAMPLES)
def test_examples_run(module, names):
    module = importlib.import_module("irrepress." + module.replace("/", "."))
    result = doctest.testmod(module, extraglobs=names)
    assert result.attempted
    assert result.failed == 0


@pytest.mark.parametrize("package", COMPLETE)
def test_each_public_class_has_an_example(package):
    lacking = [
        f"{path}: {node.name}"
        for path in MODULES
        if path.parts[0] == package
        for node in ast.parse((ROOT / path).read_text()).body
        if isinstance(node, ast.ClassDef)
        and not node.name.startswith("_")
        and "Example:" not in (ast.get_docstring(node) or "")
    ]
    assert not lacking
