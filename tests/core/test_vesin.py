"""vesin is imported without torch, only for irrepress, and leaves nothing behind."""

import ctypes
import subprocess
import sys

import numpy as np
import pytest

from irrepress.core.vesin import NeighborList


def run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.mark.parametrize("module", ["core.neighbours", "data.convert", "data.summary.scan"])
def test_reading_files_needs_no_torch(module):
    assert run(f"import sys, irrepress.{module}; print('torch' in sys.modules)") == "False"


def test_others_get_vesin_with_torch():
    code = """
import irrepress.core.neighbours, torch, vesin
search = vesin.NeighborList(cutoff=2.0, full_list=False)
points, box = torch.tensor([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0]]).double(), torch.zeros(3, 3).double()
(distances,) = search.compute(points, box, False, quantities="d")
print(type(distances).__module__, float(distances))
"""
    assert run(code) == "torch 1.0"


def test_searches_leave_no_types_behind():
    search = NeighborList(cutoff=3.0, full_list=True)
    before = len(ctypes._pointer_type_cache)
    for atoms in range(2, 30):
        line = np.arange(atoms)[:, None] * [1.0, 0.0, 0.0]
        pairs, vectors, shifts = search.compute(line, np.zeros((3, 3)), False, quantities="PDS")
        assert np.array_equal(vectors, line[pairs[:, 1]] - line[pairs[:, 0]])
        assert not shifts.any()
    assert len(ctypes._pointer_type_cache) - before <= 4  # at most one for each type of number
