"""Conversion factors. Inside the library all is eV, Å, eV/Å and eV/Å^3."""

# 1 eV/Å^3 in GPa (CODATA 2018: e = 1.602176634e-19 C)
EV_PER_A3_IN_GPA = 160.2176634
