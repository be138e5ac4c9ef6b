"""The model as TorchScript, without sevenn: `calculator` makes ASE's calculator."""

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
    """Runs a file of ``sevenn get_model``, or of irrepress, as LAMMPS does.

    Args:
        path: the file.
        device: where it runs.

    Example:
        atoms.calc = TorchScriptCalculator("deployed.pt", "cpu")
    """

    implemented_properties = ["energy", "free_energy", "forces", "stress", "energies"]  # noqa: RUF012

    def __init__(self, path: str | Path, device: str):
        super().__init__()
        written = dict.fromkeys(("chemical_symbols_to_index", "cutoff"), "")
        self.device = torch.device(device)
        self.network = torch.jit.load(str(path), map_location=device, _extra_files=written)
        told = {key: value if isinstance(value, str) else value.decode()
                for key, value in written.items()}  # fmt: skip
        symbols = told["chemical_symbols_to_index"].split()
        self.index = {symbol: place for place, symbol in enumerate(symbols)}
        self.cutoff = float(told["cutoff"])

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: list | None = None,
        system_changes: list = all_changes,
    ) -> None:
        """Compute all properties; the stress only of crystals."""
        super().calculate(atoms, properties, system_changes)
        atoms = self.atoms
        unknown = sorted(set(atoms.get_chemical_symbols()) - set(self.index))
        if unknown:
            raise ValueError(f"the model does not know {', '.join(unknown)}")
        first, second, vectors = neighbours("ijD", atoms, self.cutoff)
        index = np.array([self.index[symbol] for symbol in atoms.get_chemical_symbols()])
        edges = torch.from_numpy(np.stack([first, second]).astype(np.int64)).to(self.device)
        vectors = torch.from_numpy(np.asarray(vectors, np.float32)).to(self.device)
        vectors.requires_grad_(True)
        output = self.network(
            {
                "x": torch.from_numpy(index).to(self.device),
                "edge_index": edges,
                "edge_vec": vectors,
                "num_atoms": torch.tensor([len(atoms)], device=self.device),
                "nlocal": torch.tensor([len(atoms)]),
            }
        )
        energy = output["inferred_total_energy"].squeeze()
        (slopes,) = torch.autograd.grad(energy, vectors)
        forces = torch.zeros(len(atoms), 3, device=self.device)
        forces.index_add_(0, edges[0], slopes).index_add_(0, edges[1], -slopes)
        self.results = {
            "energy": float(energy.detach()),
            "free_energy": float(energy.detach()),
            "energies": output["atomic_energy"].detach().flatten().cpu().numpy(),
            "forces": forces.cpu().numpy(),
        }
        if atoms.pbc.all():
            stress = (vectors.detach().T @ slopes).cpu().numpy() / atoms.get_volume()
            self.results["stress"] = ((stress + stress.T) / 2)[VOIGT]


def calculator(device: str = "auto") -> Calculator:
    """Return the calculator; ``auto`` takes a GPU if there is one."""
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    # As in sevenn's pair style: shapes change from call to call, and compiling anew costs more.
    torch.jit.set_fusion_strategy([("STATIC", 0)])
    return TorchScriptCalculator(MODEL, device)
