"""Expansion of the user's paths: ``~``, environment variables, globs and folders.

Only names are examined, not contents, so that the workflow can do it at every start.
"""

import glob
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path

from irrepress.core.errors import UserError
from irrepress.core.files import expanded
from irrepress.data.config import Files

DATA_KEYS = ("paths", "valid_paths", "test_paths")
KEYS = (*DATA_KEYS, "isolated_atoms")

_COMPRESSED = r"(\.(gz|bz2|xz))?"
# Kinds of files in a folder, by name. Two kinds in one folder may contain the same structures, so
# the user has to choose.
_KINDS = {
    "extxyz": re.compile(rf".*\.(ext)?xyz(\.txt)?{_COMPRESSED}"),
    "ase-db": re.compile(r".*\.(db|aselmdb|lmdb|mdb)"),
    "mace-hdf5": re.compile(r".*\.(h5|hdf5)"),
    "traj": re.compile(rf".*\.traj{_COMPRESSED}"),
    "vasp": re.compile(rf"(vasprun.*\.xml|outcar.*){_COMPRESSED}"),
    "archive": re.compile(r".*\.(zip|tgz|tbz2|txz|tar(\.(gz|bz2|xz))?)"),
    "json": re.compile(rf".*\.json{_COMPRESSED}"),
}
# Files of single structures, which are read where there is nothing else.
_STRUCTURES = re.compile(rf"(.*\.(cif|vasp|poscar)|(poscar|contcar)([._-].*)?){_COMPRESSED}")
# The kinds for each format in the config.
_OF_FORMAT = {
    "extxyz": {"extxyz"},
    "xyz": {"extxyz"},
    "ase-db": {"ase-db"},
    "db": {"ase-db"},
    "mace-hdf5": {"mace-hdf5"},
    "ase": {"traj", "vasp"},
    "extxyz-archive": {"archive"},
    "mptrj-json": {"json"},
}
# Files without structures that often accompany data: index files of fairchem, locks of databases,
# and other files of VASP.
_COMPANIONS = re.compile(
    r"metadata\.(npz|json)|.*[.-](lock|journal|wal|shm)|readme.*|licen[cs]e.*|.*\.md|"
    r"(incar|kpoints|potcar|poscar|contcar|oszicar|xdatcar|doscar|eigenval|ibzkpt|chg|chgcar|"
    r"wavecar|pcdat|procar|report|dynmat|locpot|elfcar|slurm|job)([._-].*)?"
)


class _NothingReadable(UserError):
    """A folder without files that can be read."""


@dataclass
class Located:
    """The files and folders that a dataset is read from.

    Attributes:
        paths: config key -> files in reading order, and folders that are read as a whole
            (DeePMD-kit's).
        remarks: text and file of what was left out, as for `notes.Notes.add`.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "silicon.xyz"
        >>> path.touch()
        >>> [file.name for file in locate(Files(source="files", paths=[str(path)])).all()]
        ['silicon.xyz']
    """

    paths: dict[str, list[Path]] = field(default_factory=dict)
    remarks: list[tuple[str, str]] = field(default_factory=list)

    def all(self) -> list[Path]:
        """Return the paths of all keys, in the order of `KEYS`."""
        return [path for key in KEYS for path in self.paths.get(key, [])]


def locate(dataset: Files) -> Located:
    """Return the files and folders of a dataset.

    A file matched by a glob or folder under ``paths`` and given under another key belongs to the
    other key.

    Raises:
        UserError: if nothing is found, a folder contains no readable files or several kinds, or a
            file belongs to two splits. The message has one line for each mistake, which begins with
            its key.
    """
    located, mistakes = Located(), []
    named: set[Path] = set()  # files given under paths directly, not by a pattern or folder
    for key in KEYS:
        texts = getattr(dataset, key) or []
        found: list[Path] = []
        for text in [texts] if isinstance(texts, str) else texts:
            try:
                # The format of isolated atoms is detected: it often differs from that of the data.
                format = "auto" if key == "isolated_atoms" else dataset.format
                matches = _matches(text, format, located.remarks)
            except UserError as error:
                mistakes.append(f"{key}: {error}")
                continue
            if key == "paths":
                named |= {path for path in matches if path == Path(expanded(text))}
            text = f"file that occurs under {key} twice, read once"
            located.remarks += [(text, str(path)) for path in matches if path in found]
            found += matches
        located.paths[key] = list(dict.fromkeys(found))
    mistakes += _divide(located, named)
    if mistakes:
        raise UserError("\n".join(mistakes))
    return located


def contents(path: Path) -> list[Path]:
    """Return a file itself, or the files in a folder that is read as a whole."""
    return list(_files_below(path)) if path.is_dir() else [path]


def _divide(located: Located, named: set[Path]) -> Iterator[str]:
    """Assign each file to one key; yield mistakes where that is not possible."""
    for first, key in enumerate(KEYS):
        for other in KEYS[first + 1 :]:
            of_other = {path.resolve() for path in located.paths.get(other, [])}
            shared = [path for path in located.paths.get(key, []) if path.resolve() in of_other]
            twice = [path for path in shared if path in named or key != "paths"]
            if twice and other != "isolated_atoms":
                yield f"{key}: {twice[0]} is also under {other}; give it under one of them only"
            if not shared or twice:
                continue
            located.paths[key] = [path for path in located.paths[key] if path not in shared]
            text = f"file left out of paths, as it is given under {other}"
            located.remarks += [(text, str(path)) for path in shared]
            if not located.paths[key]:
                yield f"{key}: all files are also under {other}; give others"


def _matches(text: str, format: str, remarks: list[tuple[str, str]]) -> list[Path]:
    """Return the files and folders for one entry of the config."""
    written = expanded(text)
    # An existing name is used literally, even if it contains glob characters.
    if os.path.exists(written):
        paths = [Path(written)]
    elif glob.has_magic(written):
        paths = sorted(map(Path, glob.glob(written, recursive=True)), key=_natural)
        if not paths:
            raise UserError(
                f"no file matches the pattern {text!r}{_where(written)}; correct it, or list the "
                "files one by one"
            )
    else:
        raise UserError(f"there is no file {text!r}; give the path of your file{_where(written)}")
    # Skip folders if the pattern also matches files inside them.
    inside = {parent for path in paths for parent in path.parents}
    found = []
    for path in paths:
        if not path.is_dir():
            found.append(path)
        elif path not in inside:
            try:
                found += _in_folder(path, format, remarks)
            except _NothingReadable as error:
                if len(paths) == 1:
                    raise
                remarks.append(("folder without readable files", str(error)))
    return found


def _where(path: str) -> str:
    return "" if os.path.isabs(path) else f" (relative paths begin at {Path.cwd()})"


def _in_folder(folder: Path, format: str, remarks: list[tuple[str, str]]) -> list[Path]:
    """Return the files to read in a folder, in natural order of names."""
    files = list(_files_below(folder))
    if any(file.name == "type.raw" for file in files) and format in ("auto", "deepmd"):
        return [folder]
    kinds = _kinds(files, format)
    if not kinds:
        raise _NothingReadable(_nothing_readable(folder, files, format))
    if len(kinds) > 1:
        examples = " and ".join(os.path.relpath(files[0], folder) for files in kinds.values())
        raise UserError(
            f"{folder} contains files of several kinds, such as {examples}; select some by a "
            f"pattern, such as '{folder}/**/*{next(iter(kinds.values()))[0].suffix}'"
        )
    ((kind, chosen),) = kinds.items()
    if kind == "vasp":
        chosen, repeated = _one_of_each_run(chosen)
        text = "OUTCAR not read, as vasprun.xml beside it contains the same run"
        remarks += [(text, str(file)) for file in repeated]
    known = {*chosen, *kinds[kind]}
    text = f"file in a folder not read, as its name is not that of {kind} files"
    remarks += [
        (text, str(file))
        for file in files
        if file not in known and not _COMPANIONS.fullmatch(file.name.lower())
    ]
    return chosen


def _kinds(files: list[Path], format: str) -> dict[str, list[Path]]:
    """Return kind -> files, for the kinds of a format."""
    if format != "auto" and format not in _OF_FORMAT:
        named = [file for file in files if _ase_would_take(file.name, format)]
        return {format: named} if named else {}
    kinds: dict[str, list[Path]] = {}
    for file in files:
        name = file.name.lower()
        if _COMPANIONS.fullmatch(name):
            continue
        kind = next((kind for kind, pattern in _KINDS.items() if pattern.fullmatch(name)), None)
        if kind is not None and kind in _OF_FORMAT.get(format, _KINDS):
            kinds.setdefault(kind, []).append(file)
    # JSON files and archives beside other data rarely contain structures.
    for kind in ("json", "archive"):
        if len(kinds) > 1:
            kinds.pop(kind, None)
    if not kinds and format == "auto":
        single = [file for file in files if _STRUCTURES.fullmatch(file.name.lower())]
        return {"CIF and POSCAR": single} if single else {}
    return kinds


def _ase_would_take(name: str, format: str) -> bool:
    """Return whether ASE recognises a file's name as one of a format."""
    from ase.io.formats import ioformats  # half a second, which few configs have to wait for

    known = ioformats.get(format)
    plain = re.sub(r"\.(gz|bz2|xz)$", "", name)
    return known is not None and (
        known.match_name(plain) or any(plain.endswith(f".{end}") for end in known.extensions)
    )


def _one_of_each_run(files: list[Path]) -> tuple[list[Path], list[Path]]:
    """Divide VASP outputs into those to read and duplicates of the same runs."""
    chosen, repeated = [], []
    for _, group in groupby(files, key=lambda file: file.parent):
        of_run = list(group)
        runs = [file for file in of_run if file.name.lower().startswith("vasprun")]
        chosen += runs or of_run
        repeated += [file for file in of_run if runs and file not in runs]
    return chosen, repeated


def _nothing_readable(folder: Path, files: list[Path], format: str) -> str:
    if not files:
        return f"{folder} is empty; give the folder with your files"
    what = "" if format == "auto" else f" of the format {format}"
    return (
        f"no files{what} are recognised by name in {folder}, which contains "
        f"{_some(files, folder)}; select some by a pattern, such as '{folder}/*{files[0].suffix}', "
        "and set format"
    )


def _files_below(folder: Path) -> Iterator[Path]:
    """Yield the visible files in a folder and its subfolders, in natural order."""
    seen = set()
    found = []
    for place, folders, names in os.walk(folder, followlinks=True):
        seen.add(os.path.realpath(place))
        folders[:] = [
            name
            for name in folders
            if not name.startswith(".") and os.path.realpath(os.path.join(place, name)) not in seen
        ]
        found += [Path(place, name) for name in names if not name.startswith(".")]
    yield from sorted((path for path in found if path.is_file()), key=_natural)


def _natural(path: Path) -> list[list[tuple[int, str]]]:
    """Return a sort key that places data.2 before data.10 and keeps a folder's files together."""
    return [
        [(int(piece), "") if piece.isdecimal() else (-1, piece) for piece in re.split(r"(\d+)", p)]
        for p in path.parts
    ]


def _some(paths: Iterable[Path], folder: Path) -> str:
    """Format up to three paths in a folder, and the number of others."""
    names = [str(path.relative_to(folder)) for path in paths]
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more
