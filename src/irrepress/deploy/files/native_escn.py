"""The model as fairchem runs it: `calculator` makes ASE's calculator."""

from pathlib import Path

import torch
from ase.calculators.calculator import Calculator
from fairchem.core import FAIRChemCalculator

MODEL = Path(__file__).with_name("model.pt")
MODAL: str | None = None  # task


def calculator(device: str = "auto") -> Calculator:
    """Return the calculator; ``auto`` takes a GPU if there is one."""
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    return FAIRChemCalculator.from_model_checkpoint(
        str(MODEL), task_name=MODAL, inference_settings="batch", device=device
    )
