"""vesin is imported without torch, and only for irrepress."""

import subprocess
import sys

import pytest


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
