"""The quantities that models predict and labels give."""

from ase import units

# Names of the attributes of `Structure`, `Labels` and `Prediction`, and of the keys of records.
QUANTITIES = ("energy", "forces", "stress")

# Losses take stress in GPa, which brings it to the order of magnitude of the others.
GPA_PER_EV_A3 = 1 / units.GPa
