"""The model as sevenn runs it: `calculator` makes ASE's calculator."""

from pathlib import Path

from ase.calculators.calculator import Calculator
from sevenn.calculator import SevenNetCalculator

MODEL = Path(__file__).with_name("model.pt")
MODAL: str | None = None  # level of theory


def calculator(device: str = "auto") -> Calculator:
    """Return the calculator; ``auto`` takes a GPU if there is one."""
    return SevenNetCalculator(str(MODEL), device=device, modal=MODAL)
