"""Outputs of VASP as it writes them, so far as readers look at them."""

import numpy as np
from ase.units import GPa

SMEARING = 0.4  # eV between the free energy and the energy extrapolated to zero smearing
VASP = [0, 1, 2, 5, 3, 4]  # Voigt's order to XX YY ZZ XY YZ ZX


def outcar(images, ended=True):
    """Return an OUTCAR of a run whose steps are atoms with labels; energy is the free energy."""
    first = images[0]
    symbols = list(dict.fromkeys(first.get_chemical_symbols()))
    counts = [first.get_chemical_symbols().count(symbol) for symbol in symbols]
    lines = [" vasp.6.3.0 18Jan22 (build Mar 01 2022 10:00:00) complex", ""]
    lines += [f" POTCAR:    PAW_PBE {symbol} 05Jan2001" for symbol in symbols] * 2
    lines += [f"   number of dos      NEDOS =    301   number of ions     NIONS = {len(first):6d}"]
    lines += ["   ISPIN  =      1    spin polarized calculation?"]
    lines += ["   ions per type =      " + "".join(f"{count:4d}" for count in counts), ""]
    for step, atoms in enumerate(images, 1):
        energy = atoms.calc.results["energy"]
        kilobar = -atoms.calc.results["stress"][VASP] / (0.1 * GPa)
        rule = " " + "-" * 83
        lines += [
            f"--------------------------------------- Iteration {step:6d}(   1)  ----------------",
            "",
            "  FORCE on cell =-STRESS in cart. coord.  units (eV):",
            "  Direction    XX          YY          ZZ          XY          YZ          ZX",
            "  in kB    " + "".join(f"{value:12.5f}" for value in kilobar),
            "",
            " VOLUME and BASIS-vectors are now :",
            f"  volume of cell : {atoms.get_volume():13.4f}",
            "      direct lattice vectors                 reciprocal lattice vectors",
        ]
        both = np.hstack([atoms.cell.array, np.linalg.inv(atoms.cell.array).T])
        lines += ["  " + "".join(f"{value:13.9f}" for value in row) for row in both]
        lines += [
            "",
            f" POSITION {' ' * 38} TOTAL-FORCE (eV/Angst)",
            rule,
        ]
        table = np.hstack([atoms.positions, atoms.calc.results["forces"]])
        lines += ["  " + "".join(f"{value:13.7f}" for value in row) for row in table]
        lines += [
            rule,
            "    total drift:      0.000000     0.000000     0.000000",
            "",
            "  FREE ENERGIE OF THE ION-ELECTRON SYSTEM (eV)",
            "  ---------------------------------------------------",
            f"  free  energy   TOTEN  = {energy:18.8f} eV",
            "",
            f"  energy  without entropy= {energy + 2 * SMEARING:18.8f}  "
            f"energy(sigma->0) = {energy + SMEARING:18.8f}",
            "",
        ]
    if ended:
        lines += ["", " General timing and accounting informations for this job:", ""]
    return "\n".join(lines)


def vasprun(images):
    """Return the vasprun.xml of such a run."""
    first = images[0]

    def rows(name, array):
        values = "".join(f"<v> {' '.join(f'{x:.10f}' for x in row)} </v>\n" for row in array)
        return f'<varray name="{name}">\n{values}</varray>\n'

    def structure(atoms, attribute=""):
        cell = rows("basis", atoms.cell.array)
        places = rows("positions", atoms.get_scaled_positions(wrap=False))
        return f"<structure{attribute}><crystal>\n{cell}</crystal>\n{places}</structure>\n"

    def energy(atoms):
        free = atoms.calc.results["energy"]
        return (
            f'<energy><i name="e_fr_energy"> {free:.8f} </i>'
            f'<i name="e_wo_entrp"> {free + 2 * SMEARING:.8f} </i>'
            f'<i name="e_0_energy"> {free + SMEARING:.8f} </i></energy>\n'
        )

    species = "".join(f"<rc><c>{s} </c><c>1</c></rc>" for s in first.get_chemical_symbols())
    steps = "".join(
        "<calculation>\n<scstep>"
        + energy(atoms)
        + "</scstep>\n"
        + structure(atoms)
        + rows("forces", atoms.calc.results["forces"])
        + rows("stress", -atoms.get_stress(voigt=False) / (0.1 * GPa))
        + energy(atoms)
        + "</calculation>\n"
        for atoms in images
    )
    return (
        '<?xml version="1.0" encoding="ISO-8859-1"?>\n<modeling>\n'
        '<generator><i name="program" type="string">vasp </i></generator>\n'
        '<kpoints><generation param="Gamma"/><varray name="kpointlist"><v> 0 0 0 </v></varray>'
        '<varray name="weights"><v> 1 </v></varray></kpoints>\n'
        f'<atominfo><array name="atoms"><set>{species}</set></array></atominfo>\n'
        + structure(first, ' name="initialpos"')
        + steps
        + "</modeling>\n"
    )
