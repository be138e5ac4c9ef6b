"""The quantities that models predict."""

from ase import units

# Names of the attributes of `Structure`, `Labels` and `Prediction`, and of the keys of records.
QUANTITIES = ("energy", "forces", "stress")

# Losses use stress in GPa, which gives it the same order of magnitude as the others.
GPA_PER_EV_A3 = 1 / units.GPa
