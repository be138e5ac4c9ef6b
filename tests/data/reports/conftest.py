"""Files as people have them, after public reports, and what SevenNet-0 says of them.

The labels are SevenNet-0's own: who reads a file right has no error but round-off.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from irrepress.core.structure import Structure
from irrepress.data.config import Files

# In eV/atom, eV/Å and eV/Å^3: a few times what single precision leaves, and far below what any
# mistake of reading makes.
ROUND_OFF = {"energy": 2e-6, "forces": 2e-6, "stress": 1e-7}


@dataclass(frozen=True)
class Outcome:
    """What became of a file.

    Attributes:
        structures: as read.
        errors: of SevenNet-0 against the labels, by quantity, root mean square in eV/atom, eV/Å
            and eV/Å^3; None without labels.
        notes: what was noticed: text -> how often.
        references: atomic number -> energy of an isolated atom in eV.
    """

    structures: Sequence[Structure]
    errors: dict[str, float | None]
    notes: dict[str, int]
    references: dict[int, float]

    def is_exact(self, *quantities: str) -> bool:
        """Tell whether these quantities, and no others, have labels, all of them exact."""
        return all(
            (self.errors[name] is not None and self.errors[name] < limit)
            if name in quantities
            else self.errors[name] is None
            for name, limit in ROUND_OFF.items()
        )

    def noted(self, text: str) -> int:
        """Return how often something was noticed that holds a text."""
        return sum(count for note, count in self.notes.items() if text in note)


@pytest.fixture(scope="session")
def reports(shared_data) -> Path:
    """The folder of the reports."""
    folder = shared_data / "reports"
    if not folder.is_dir():
        pytest.skip(f"there are no reports at {folder}")
    return folder


@pytest.fixture(scope="session")
def errors_of(sevennet_0) -> Callable[..., Outcome]:
    """Return a function that reads a path as a dataset of the config and evaluates SevenNet-0."""
    from irrepress.data.reading import read_files
    from irrepress.evaluation.direct import evaluate_files

    def outcome(path: Path, **config: Any) -> Outcome:
        files = Files(source="files", paths=[str(path)], **config)
        reading = read_files(files)
        found = evaluate_files(sevennet_0, reading, str(path), alignment="never")
        errors = found.errors
        return Outcome(
            list(read_files(files)),
            {name: errors[f"{name}_rmse"] for name in ROUND_OFF},
            {note.text: note.count for note in reading.notes},
            reading.reference_energies,
        )

    return outcome
