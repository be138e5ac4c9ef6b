"""Further targets of a distillation: atomic energies, and changes of forces in random directions.

Energies give one number per structure; atomic energies give one per atom, which tells where an
error comes from. A narrowed model inherits its parent's way of dividing the energy among atoms, so
they can be compared. The curvature of the energy gives ``3 atoms`` numbers for each direction, from
which phonons and dynamics follow (energy Hessians as targets: Amin, Raja and Krishnapriyan, arXiv
2501.09009). Here a product of the Hessian with a random direction is a difference of forces,

    (F(x + d v) - F(x)) / d,    v of random signs, d of 0.01 Å,

for parent and model alike: it needs nothing from a family but forces, no third derivatives, and
has the same meaning for both.

The parent's values depend on the structures only. They are computed once, before training, and lie
beside the checkpoints.
"""

import hashlib
import json
import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from irrepress.core.batching import in_batches, in_limited_batches
from irrepress.core.comparison import huber_loss
from irrepress.core.errors import UserError
from irrepress.core.files import read_json, write_json
from irrepress.core.model import Batch, Model, Prediction
from irrepress.core.processes import is_first
from irrepress.core.progress import tracked
from irrepress.core.structure import Structure
from irrepress.data.store import StructureStore
from irrepress.training.config import DISPLACEMENT, Distillation
from irrepress.training.ranks import summed

logger = logging.getLogger(__name__)

# Structures between two entries of what is done, and per forward pass of the parent; and atoms.
_BLOCK, _BATCH, _ATOMS = 64, 8, 256
# Seconds between two looks for what the first rank computes.
_WAIT = 1.0


@dataclass(frozen=True)
class Targets:
    """The further targets of a batch.

    Attributes:
        atomic_energies: of the parent in eV, ``[atoms]`` float64, since references of elements are
            large; None: not compared.
        displaced: the structures of the batch, displaced; None: not compared.
        forces: of the parent on ``displaced`` in eV/Å, ``[atoms, 3]``; None: not compared.

    Example:
        >>> batch = model.batch(structures)
        >>> prediction = model.predict(batch)
        >>> targets = Targets(prediction.atomic_energies, batch, prediction.forces)
        >>> settings = Distillation(atomic_energies=1.0, hessian_rows=1)
        >>> loss = targets.loss(model, prediction, prediction.forces, settings)
        >>> bool(0 <= loss < 0.001)
        True
    """

    atomic_energies: Tensor | None = None
    displaced: Batch | None = None
    forces: Tensor | None = None

    def loss(
        self, model: Model, prediction: Prediction, parent_forces: Tensor, settings: Distillation
    ) -> Tensor:
        """Return the weighted mean Huber losses.

        Args:
            model: the model in training.
            prediction: its prediction for the batch, with its graph.
            parent_forces: the parent's forces on the batch in eV/Å, ``[atoms, 3]``.
            settings: weights.

        Returns:
            A scalar. With several ranks, this rank's contribution to the sum over ranks.
        """
        delta = settings.weights.huber_delta
        atoms = summed(prediction.forces.new_tensor(len(prediction.forces)))
        terms = []
        if self.atomic_energies is not None and prediction.atomic_energies is not None:
            apart = prediction.atomic_energies.to(self.atomic_energies) - self.atomic_energies
            loss = huber_loss(apart, delta).sum() / delta / atoms
            terms.append(settings.atomic_energies * loss)
        if self.displaced is not None and self.forces is not None:
            moved = model.predict_for_loss(self.displaced)
            change = (moved.forces - prediction.forces).to(self.forces)
            apart = (change - (self.forces - parent_forces)) / DISPLACEMENT
            loss = huber_loss(apart, delta).sum() / delta / (3 * atoms)
            terms.append(settings.hessian_weight * loss)
        return torch.stack(terms).sum().to(prediction.forces.dtype)

    def to(self, device: torch.device | str, *, non_blocking: bool = False) -> "Targets":
        """Return the targets on another device."""
        energies, displaced, forces = self.atomic_energies, self.displaced, self.forces
        return Targets(
            None if energies is None else energies.to(device, non_blocking=non_blocking),
            None if displaced is None else displaced.to(device, non_blocking=non_blocking),
            None if forces is None else forces.to(device, non_blocking=non_blocking),
        )

    def pin_memory(self) -> "Targets":
        """Return the targets in pinned memory, which a GPU copies from asynchronously."""
        energies, displaced, forces = self.atomic_energies, self.displaced, self.forces
        return Targets(
            None if energies is None else energies.pin_memory(),
            None if displaced is None else displaced.pin_memory(),
            None if forces is None else forces.pin_memory(),
        )


class TeacherTargets:
    """The parent's further targets for the train split of a store, kept in a folder.

    Values lie in files that are mapped into memory, so that processes share them. `prepare` fills
    the folder.

    Args:
        folder: the folder.
        store: the structures.
        settings: which targets there are.
        seed: seed for the directions.

    Example:
        >>> import tempfile
        >>> settings = Distillation(atomic_energies=1.0, hessian_rows=2)
        >>> targets = TeacherTargets(Path(tempfile.mkdtemp()), store, settings, seed=0)
        >>> targets.prepare(model, "cpu")
        >>> targets.read([0, 1], step=0, model=model).forces.shape
        torch.Size([4, 3])
    """

    def __init__(self, folder: Path, store: StructureStore, settings: Distillation, seed: int):
        self.folder = Path(folder)
        self.store = store
        self.settings = settings
        self.seed = seed
        self._first_atom = np.concatenate([[0], np.cumsum(store.num_atoms)])

    def read(self, indices: Sequence[int], step: int, model: Model) -> Targets:
        """Return the targets of structures, on the CPU.

        Args:
            indices: structures of the train split.
            step: step of the training, which decides about the direction.
            model: the model in training, which makes the graph of displaced structures.
        """
        atoms = np.concatenate([np.arange(*self._first_atom[i : i + 2]) for i in indices])
        energies = displaced = forces = None
        if self.settings.atomic_energies > 0:
            energies = torch.from_numpy(self._open("atomic_energies")[atoms])
        if rows := self.settings.hessian_rows:
            row = step % rows
            structures = self.store.read(indices, groups=False)
            moved = [self._displaced(s, i, row) for s, i in zip(structures, indices, strict=True)]
            displaced = model.batch(moved, device="cpu")
            forces = torch.from_numpy(self._open("forces")[row, atoms]).to(model.dtype)
        return Targets(energies, displaced, forces)

    def prepare(self, parent: Model, device: torch.device | str) -> None:
        """Compute what is missing; the first rank does, and the others wait for it.

        Args:
            parent: the parent; it is moved to the device and back.
            device: the device to compute on.

        Raises:
            UserError: if a value is not finite.
        """
        identity = self._identity(parent)
        if not is_first():
            while self._done(identity) < self._count:
                time.sleep(_WAIT)
            return
        done = self._done(identity)
        if done == self._count:
            return
        started, home = time.monotonic(), parent.device
        parent = parent.to(device).eval()
        logger.info("%s: computing further targets of %s", self.store.path, self._what())
        self.folder.mkdir(parents=True, exist_ok=True)
        if done == 0:
            self._create()
        indices = self.store.splits["train"][done:].tolist()
        blocks = list(in_batches(indices, _BLOCK))
        for block in tracked(blocks, "further targets", "blocks of structures"):
            self._compute(parent, block)
            done += len(block)
            write_json(self._progress, {"identity": identity, "done": done})
        parent.to(home)
        logger.info("further targets: done in %.0f s", time.monotonic() - started)

    @property
    def _progress(self) -> Path:
        return self.folder / "progress.json"

    @property
    def _count(self) -> int:
        return len(self.store.splits["train"])

    def _what(self) -> str:
        settings, parts = self.settings, []
        if settings.atomic_energies > 0:
            parts.append("atomic energies")
        if settings.hessian_rows:
            parts.append(f"forces along {settings.hessian_rows} directions")
        return f"{self._count} structures: {' and '.join(parts)}"

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}.npy"

    def _open(self, name: str, mode: Literal["r", "r+"] = "r") -> np.ndarray:
        return np.load(self._path(name), mmap_mode=mode)

    def _create(self) -> None:
        """Create files of the final size, most of which takes no space before it is written."""
        atoms = int(self._first_atom[-1])
        shapes: dict[str, tuple[int, ...]] = {}
        if self.settings.atomic_energies > 0:
            shapes["atomic_energies"] = (atoms,)
        if self.settings.hessian_rows:
            shapes["forces"] = (self.settings.hessian_rows, atoms, 3)
        for name, shape in shapes.items():
            np.lib.format.open_memmap(self._path(name), "w+", np.float64, shape).flush()

    def _compute(self, parent: Model, block: list[int]) -> None:
        structures = self.store.read(block, groups=False)
        if self.settings.atomic_energies > 0:
            energies = self._open("atomic_energies", "r+")
            self._write(energies, block, _atomic_energies(parent, structures))
        if self.settings.hessian_rows:
            forces = self._open("forces", "r+")
            for row in range(self.settings.hessian_rows):
                pairs = zip(structures, block, strict=True)
                moved = [self._displaced(structure, index, row) for structure, index in pairs]
                self._write(forces[row], block, _forces(parent, moved))

    def _write(self, column: np.ndarray, block: list[int], values: Iterator[np.ndarray]) -> None:
        for index, found in zip(block, values, strict=True):
            if not np.isfinite(found).all():
                raise UserError(
                    f"{self.store.path}: what the parent says of structure {index} is not finite; "
                    "remove the structure, or set atomic_energies and hessian_rows to 0"
                )
            column[slice(*self._first_atom[index : index + 2])] = found
        if isinstance(column, np.memmap):
            column.flush()

    def _displaced(self, structure: Structure, index: int, row: int) -> Structure:
        """Move every coordinate by `DISPLACEMENT`, with signs that depend on seed and index."""
        rng = np.random.default_rng([self.seed, index, row])
        signs = rng.choice([-1.0, 1.0], size=(len(structure), 3))
        return replace(structure, positions=structure.positions + DISPLACEMENT * signs)

    def _done(self, identity: str) -> int:
        """Return how many structures of the train split are done."""
        try:
            record = read_json(self._progress)
            return int(record["done"]) if record["identity"] == identity else 0
        # Missing or of another form: computing again is always safe.
        except (UserError, KeyError, TypeError, ValueError):
            return 0

    def _identity(self, parent: Model) -> str:
        """Return a hash of what the values depend on."""
        status = self.store.path.stat()
        rows, energies = self.settings.hessian_rows, self.settings.atomic_energies > 0
        content = [str(self.store.path.resolve()), status.st_size, self.store.info.checksum]
        content += [self.seed, rows, energies, DISPLACEMENT]
        digest = hashlib.sha256(json.dumps(content).encode())
        digest.update(self.store.splits["train"].tobytes())
        for parameter in parent.parameters():
            digest.update(parameter.detach().double().sum().cpu().numpy().tobytes())
        return digest.hexdigest()


def _atomic_energies(parent: Model, structures: list[Structure]) -> Iterator[np.ndarray]:
    """Yield the atomic energies of each structure in eV, ``[atoms]``."""
    for chunk in in_limited_batches(structures, _BATCH, _ATOMS):
        found = parent.atomic_energies(parent.batch(chunk)).double().cpu().numpy()
        yield from np.split(found, np.cumsum([len(structure) for structure in chunk])[:-1])


def _forces(parent: Model, structures: list[Structure]) -> Iterator[np.ndarray]:
    """Yield the forces on each structure in eV/Å, ``[atoms, 3]``."""
    for chunk in in_limited_batches(structures, _BATCH, _ATOMS):
        found = parent.predict(parent.batch(chunk)).forces.double().cpu().numpy()
        yield from np.split(found, np.cumsum([len(structure) for structure in chunk])[:-1])
