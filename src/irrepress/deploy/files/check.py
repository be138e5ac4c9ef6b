"""Check that this model computes here what it computed where it was deployed.

    python check.py

It needs ASE and the runtime, and compares energies, forces and stress of the structures in
golden.extxyz. The exit code is 1 if they differ by more than deployment.json allows.
"""

import argparse
import json
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import ModuleType

HERE = Path(__file__).resolve().parent


def main() -> None:
    """Compare all structures, and tell what differs most."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda")
    parser.add_argument("--json", type=Path, help="write what was found to this file")
    parser.add_argument("--input", type=Path, help="LAMMPS: an input, by default in.lammps")
    arguments = parser.parse_args()
    record = json.loads((HERE / "deployment.json").read_text(encoding="utf-8"))
    note = other_versions(record["tested"])
    try:
        import ase.io
        import runtime
    except ImportError as error:
        needed = " ".join(f"'{name}=={number}'" for name, number in record["tested"].items())
        sys.exit(f"check: {error}; install what the model was tested with: pip install {needed}")
    golden = ase.io.read(HERE / "golden.extxyz", ":")
    try:
        if hasattr(runtime, "check_input"):
            runtime.check_input(arguments.input or HERE / "in.lammps")
        found = evaluate(runtime, golden, arguments.device)
    except Exception as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        sys.exit(f"check: {record['runtime']} cannot evaluate {record['model']} ({reason}){note}")
    largest = differences(golden, found)
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(largest), encoding="utf-8")
    allowed = record["tolerance"]
    for quantity, (difference, place) in largest.items():
        if not difference <= allowed[quantity]:  # also if it is not a number
            formula = golden[place].get_chemical_formula()
            sys.exit(
                f"check: {quantity} of structure {place} ({formula}) in golden.extxyz differs by "
                f"{difference:.3g} {record['units'][quantity]}, allowed are "
                f"{allowed[quantity]:.3g}; do not use this model here{note}"
            )
    told = ", ".join(f"{name} {value:.2g} {record['units'][name]}" for name, (value, _) in
                     largest.items())  # fmt: skip
    print(f"{len(golden)} structures agree; largest differences: {told}")


def evaluate(runtime: ModuleType, frames: list, device: str) -> list:
    """Return energy in eV, forces in eV/Å and, of crystals, stress in eV/Å^3 of structures."""
    if hasattr(runtime, "evaluate"):
        return runtime.evaluate(frames, device)
    calculator, found = runtime.calculator(device), []
    for atoms in frames:
        asked = ["energy", "forces"] + ["stress"] * bool(atoms.pbc.all())
        calculator.calculate(atoms, asked)
        found.append({name: calculator.results[name] for name in asked})
    return found


def differences(golden: list, found: list) -> dict:
    """Return the largest difference of each quantity, and the structure where it is.

    Args:
        golden: the structures with what is expected.
        found: for each of them energy, forces and, of crystals, stress.
    """
    largest: dict = {}
    for place, (atoms, here) in enumerate(zip(golden, found, strict=True)):
        expected = atoms.calc.results
        energy = abs(here["energy"] - expected["energy"]) / len(atoms)
        parts = {"energy": energy, "forces": abs(here["forces"] - expected["forces"]).max()}
        if "stress" in expected:
            parts["stress"] = abs(here["stress"] - expected["stress"]).max()
        for quantity, difference in parts.items():
            if quantity not in largest or not difference <= largest[quantity][0]:
                largest[quantity] = (float(difference), place)
    return largest


def other_versions(tested: dict) -> str:
    """Return which packages are of other versions than the model was tested with."""
    differ = []
    for name, number in tested.items():
        try:
            here = version(name)
        except PackageNotFoundError:
            continue
        if here.split("+")[0] != number:
            differ.append(f"{name} {here} (tested with {number})")
    if not differ:
        return ""
    note = f"; here is {', '.join(differ)}: install what it was tested with"
    print(f"note{note}", file=sys.stderr)
    return note


if __name__ == "__main__":
    main()
