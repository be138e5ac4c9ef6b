"""The model as TorchScript, without mace: `calculator` makes ASE's calculator."""

from pathlib import Path

import numpy as np
import torch
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes

try:
    from vesin import ase_neighbor_list as neighbours  # the fastest
except ImportError:
    from ase.neighborlist import neighbor_list as neighbours

MODEL = Path(__file__).with_name("deployed.pt")
VOIGT = ([0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1])


class TorchScriptCalculator(Calculator):
    """Runs a file of ``mace_create_lammps_model``, as LAMMPS does.

    Args:
        path: the file.
        device: where it runs.

    Example:
        atoms.calc = TorchScriptCalculator("deployed.pt", "cpu")
    """

    implemented_properties = ["energy", "free_energy", "forces", "stress", "energies"]  # noqa: RUF012

    def __init__(self, path: str | Path, device: str):
        super().__init__()
        self.device = torch.device(device)
        self.network = torch.jit.load(str(path), map_location=device)
        self.elements = self.network.atomic_numbers.cpu().numpy()
        self.cutoff = float(self.network.r_max)
        self.dtype = next(self.network.parameters()).dtype

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: list | None = None,
        system_changes: list = all_changes,
    ) -> None:
        """Compute all properties; the stress only of crystals."""
        super().calculate(atoms, properties, system_changes)
        atoms = self.atoms
        unknown = sorted(set(atoms.numbers) - set(self.elements))
        if unknown:
            raise ValueError(f"the model does not know the elements of numbers {unknown}")
        first, second, shifts = neighbours("ijS", atoms, self.cutoff)
        cell = np.array(atoms.cell) * atoms.pbc[:, None]

        def floats(array: np.ndarray) -> torch.Tensor:
            return torch.from_numpy(np.asarray(array, float)).to(self.device, self.dtype)

        number = len(atoms)
        data = {
            "positions": floats(atoms.positions).requires_grad_(True),
            "node_attrs": floats(atoms.numbers[:, None] == self.elements),
            "edge_index": torch.from_numpy(np.stack([first, second]).astype(np.int64)),
            "shifts": floats(np.asarray(shifts, float) @ cell),
            "unit_shifts": floats(shifts),
            "cell": floats(cell),
            "batch": torch.zeros(number, dtype=torch.int64),
            "ptr": torch.tensor([0, number]),
        }
        data = {key: value.to(self.device) for key, value in data.items()}
        whole = torch.ones(number, device=self.device, dtype=self.dtype)
        output = self.network(data, whole, bool(atoms.pbc.all()))
        self.results = {
            "energy": float(output["total_energy_local"].detach()),
            "free_energy": float(output["total_energy_local"].detach()),
            "energies": output["node_energy"].detach().cpu().numpy(),
            "forces": output["forces"].detach().cpu().numpy(),
        }
        if atoms.pbc.all():
            virial = output["virials"].detach().cpu().numpy().reshape(3, 3)
            self.results["stress"] = -virial[VOIGT] / atoms.get_volume()


def calculator(device: str = "auto") -> Calculator:
    """Return the calculator; ``auto`` takes a GPU if there is one."""
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.jit.set_fusion_strategy([("STATIC", 0)])
    return TorchScriptCalculator(MODEL, device)
