"""The examples in docstrings run, save those of families, which need a package of their own."""

import doctest
import importlib
from pathlib import Path

import pytest

import irrepress

ROOT = Path(irrepress.__file__).parent
EXAMPLES = sorted(
    path.relative_to(ROOT).with_suffix("").as_posix()
    for path in ROOT.rglob("*.py")
    if ">>> " in path.read_text() and "families" not in path.relative_to(ROOT).parts
)


@pytest.mark.parametrize("module", EXAMPLES)
def test_examples_run(module):
    result = doctest.testmod(importlib.import_module("irrepress." + module.replace("/", ".")))
    assert result.attempted
    assert result.failed == 0
