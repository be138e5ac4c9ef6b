"""The model as LAMMPS runs it through ML-IAP, for check.py.

Structures are run in LAMMPS where it can load the file, for which it needs its packages KOKKOS and
ML-IAP, this one built for Python. The environment variable LMP holds its command with its switches,
by default that in in_lammps.py. Elsewhere `LammpsData` stands in for what LAMMPS hands to the file.
"""

import contextlib
import functools
import importlib
import importlib.util
import io
import sys
import tempfile
import types
from pathlib import Path

import numpy as np
import torch
from ase import Atoms

try:
    from vesin import ase_neighbor_list as neighbours  # the fastest
except ImportError:
    from ase.neighborlist import neighbor_list as neighbours

HERE = Path(__file__).resolve().parent
MODEL = HERE / "deployed.pt"
MODULE = "mace.calculators.lammps_mliap_mace"  # where the class of the file is
# What a LAMMPS that can load files answers to one that is not there, and others do not.
PROBE = (
    "units metal",
    "atom_style atomic",
    "region box block 0 1 0 1 0 1",
    "create_box 1 box",
    "pair_style mliap/kk unified not-there.pt 0",
)
ANSWER = "Running mliappy unified"


def evaluate(frames: list, device: str = "auto") -> list:
    """Return energy in eV, forces in eV/Å and stress in eV/Å^3 of structures.

    LAMMPS chooses the device by the switches of its command, and its stand-in is on the CPU.
    """
    reason = why_not_in_lammps()
    if reason is None:
        return in_lammps().evaluate(frames)
    print(f"note: not in LAMMPS, but with a stand-in for its data ({reason})", file=sys.stderr)
    return [compute(atoms) for atoms in frames]


def why_not_in_lammps(command: str | None = None) -> str | None:
    """Return why a LAMMPS cannot load the file; None: it can.

    Args:
        command: command of LAMMPS; None: that of LMP.
    """
    with tempfile.TemporaryDirectory() as folder:
        try:
            in_lammps().start(PROBE, Path(folder), command)
        except RuntimeError as error:
            return None if ANSWER in str(error) else str(error)
    return "LAMMPS: reads no file of pair_style mliap/kk unified"


def seconds(atoms: Atoms, calls: int, device: str = "auto") -> list:
    """Return the mean time of a step of dynamics in LAMMPS in s, as often as there were steps."""
    return in_lammps().seconds(atoms, calls)


def check_input(path: Path) -> None:
    """Check that an input of LAMMPS names the elements in the order of the types."""
    in_lammps().check_input(path)


@functools.cache
def in_lammps() -> types.ModuleType:
    """Return in_lammps.py of this folder, which runs LAMMPS."""
    spec = importlib.util.spec_from_file_location("in_lammps", HERE / "in_lammps.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def compute(atoms: Atoms, symbols: list | None = None) -> dict:
    """Return energy, forces and, of a crystal, stress of a structure, without LAMMPS.

    Args:
        atoms: the structure.
        symbols: the elements in the order of LAMMPS's types; None: in alphabetical order.
    """
    unified = load()
    data = LammpsData(unified, atoms, symbols or sorted(set(atoms.get_chemical_symbols())))
    with contextlib.redirect_stdout(io.StringIO()):  # greetings
        unified.compute_descriptors(data)
        unified.compute_gradients(data)
        unified.compute_forces(data)
    result = {"energy": data.energy, "forces": data.forces()}
    if atoms.pbc.all():
        stress = -data.virial / atoms.get_volume()
        result["stress"] = stress[[0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]]
    return result


@functools.cache
def load() -> object:
    """Return the object in the file, as LAMMPS loads it."""
    with contextlib.redirect_stdout(io.StringIO()), base_class():
        importlib.import_module(MODULE)
        return torch.load(MODEL, map_location="cpu", weights_only=False)


@contextlib.contextmanager
def base_class():
    """Stand in for the base class of LAMMPS's Python package where there is none to import."""
    name = "lammps.mliap.mliap_unified_abc"
    try:
        importlib.import_module(name)
        yield
        return
    except (ImportError, RuntimeError, OSError):  # also one that was built for another Python
        pass
    made = types.ModuleType(name)
    made.MLIAPUnified = type("MLIAPUnified", (), {"__init__": lambda self: None})
    missing = [each for each in ("lammps", "lammps.mliap", name) if each not in sys.modules]
    sys.modules.update(dict.fromkeys(missing, made))
    try:
        yield
    finally:
        for each in missing:
            del sys.modules[each]


class LammpsData:
    """What LAMMPS hands to an object of ML-IAP, of a run in one process.

    Atoms that are reached through a boundary are ghosts: they follow the atoms of the structure,
    and each has an owner among these, from which it takes features, and to which forces on it and
    gradients of its features go. Pairs are sorted by their first atom, which is never a ghost.

    Args:
        unified: the object, which says its cutoff and its elements.
        atoms: the structure.
        symbols: the elements in the order of LAMMPS's types.

    Raises:
        ValueError: the object does not know an element.

    Example:
        data = LammpsData(load(), atoms, ["Cl", "Na"])
        load().compute_forces(data)
        data.energy, data.forces()
    """

    def __init__(self, unified: object, atoms: Atoms, symbols: list):
        elements = list(unified.element_types)
        unknown = [symbol for symbol in symbols if symbol not in elements]
        if unknown:
            raise ValueError(f"the model does not know {', '.join(unknown)}")
        cutoff = 2 * unified.rcutfac
        first, second, shifts, vectors = neighbours("ijSD", atoms, cutoff)
        order = np.argsort(first, kind="stable")
        first, second, shifts = first[order], second[order], shifts[order]
        number = self.nlocal = self.nlistatoms = self.natomneigh = len(atoms)
        # The ghosts: an atom and the cell that it is seen in.
        through = np.any(shifts != 0, axis=1)
        images = np.column_stack([second, shifts])[through].astype(int)
        ghosts, place = np.unique(images, axis=0, return_inverse=True)
        neighbour = np.array(second)
        neighbour[through] = number + place.reshape(-1)
        self.owners = np.concatenate([np.arange(number), ghosts[:, 0]])
        self.ntotal = len(self.owners)
        types_ = [symbols.index(symbol) for symbol in atoms.symbols]
        map_ = np.array([elements.index(symbol) for symbol in symbols])
        self.elems = map_[types_][self.owners].astype(np.int32)
        self.iatoms = np.arange(number, dtype=np.int32)
        self.ielems = self.elems[:number]
        self.pair_i = first.astype(np.int32)
        self.pair_j = self.jatoms = neighbour.astype(np.int32)
        self.jelems = self.elems[neighbour]
        self.numneighs = np.bincount(first, minlength=number).astype(np.int32)
        self.rij = np.ascontiguousarray(vectors[order], float)
        self.npairs = self.nneigh_max = len(first)
        self.ndescriptors, self.nparams = unified.ndescriptors, unified.nparams
        self.nelements = len(elements)
        self.eflag = self.vflag = 1
        self.f = np.zeros((self.ntotal, 3))
        self.virial = np.zeros((3, 3))
        self.eatoms = np.zeros(number)
        self._energy = 0.0

    @property
    def energy(self) -> float:
        """The energy in eV; objects set a number or a tensor of one."""
        return self._energy

    @energy.setter
    def energy(self, value: object) -> None:
        self._energy = float(value)

    def update_pair_energy(self, energies: object) -> None:
        """Give half of the energy of each pair to its first atom."""
        self.eatoms[:] = np.bincount(self.pair_i, 0.5 * _array(energies), minlength=self.nlocal)
        self.energy = self.eatoms.sum()

    def update_pair_forces(self, forces: object) -> None:
        """Add the force of each pair to its first atom, and the opposite to its second."""
        forces = _array(forces)
        if forces.dtype != np.float64 or forces.shape != self.rij.shape:
            raise TypeError(f"forces of pairs are {forces.dtype} {forces.shape}, not float64")
        np.add.at(self.f, self.pair_i, forces)
        np.subtract.at(self.f, self.pair_j, forces)
        self.virial -= self.rij.T @ forces

    # By these names objects say where their forces are; here both are the same.
    update_pair_forces_cpu = update_pair_forces_gpu = update_pair_forces

    def forward_exchange(self, features: torch.Tensor, out: torch.Tensor, width: int) -> None:
        """Write features with those of ghosts taken from their owners: (ntotal, width)."""
        self._check(features, out, width)
        out.copy_(features[torch.as_tensor(self.owners, device=features.device)])

    def reverse_exchange(self, gradients: torch.Tensor, out: torch.Tensor, width: int) -> None:
        """Write gradients with those of ghosts added to their owners': (ntotal, width)."""
        self._check(gradients, out, width)
        owners = torch.as_tensor(self.owners[self.nlocal :], device=gradients.device)
        out.copy_(gradients)
        out.index_add_(0, owners, gradients[self.nlocal :])

    def forces(self) -> np.ndarray:
        """Return the forces on the atoms, those on ghosts added to their owners': (nlocal, 3)."""
        found = np.zeros((self.nlocal, 3))
        np.add.at(found, self.owners, self.f)
        return found

    def _check(self, found: torch.Tensor, out: torch.Tensor, width: int) -> None:
        shape = (self.ntotal, width)
        if found.shape != shape or out.shape != shape or found.dtype != out.dtype:
            raise TypeError(
                f"features are {tuple(found.shape)} and {tuple(out.shape)}, not {shape}"
            )


def _array(found: object) -> np.ndarray:
    return found.detach().cpu().numpy() if isinstance(found, torch.Tensor) else np.asarray(found)
