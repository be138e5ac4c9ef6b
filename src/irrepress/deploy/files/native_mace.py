"""The model as mace-torch runs it: `calculator` makes ASE's calculator."""

from pathlib import Path

import torch
from ase.calculators.calculator import Calculator
from mace.calculators import MACECalculator

MODEL = Path(__file__).with_name("model.pt")
MODAL: str | None = None  # head
DTYPE = "float64"


def calculator(device: str = "auto") -> Calculator:
    """Return the calculator; ``auto`` takes a GPU if there is one."""
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    options = {} if MODAL is None else {"head": MODAL}
    return MACECalculator(str(MODEL), device=device, default_dtype=DTYPE, **options)
