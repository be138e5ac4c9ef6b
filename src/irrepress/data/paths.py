"""What the user's paths stand for: ``~``, environment variables, globs and folders.

Only names are looked at here, no contents, so that the workflow can ask at every start.
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
# Kinds of files in a folder, by their names. Two kinds in one folder may be the same structures
# twice, so that the user has to say which are meant.
_KINDS = {
    "extxyz": re.compile(rf".*\.(ext)?xyz(\.txt)?{_COMPRESSED}"),
    "ase-db": re.compile(r".*\.(db|aselmdb|lmdb|mdb)"),
    "mace-hdf5": re.compile(r".*\.(h5|hdf5)"),
    "traj": re.compile(rf".*\.traj{_COMPRESSED}"),
    "vasp": re.compile(rf"(vasprun.*\.xml|outcar.*){_COMPRESSED}"),
    "archive": re.compile(r".*\.(zip|tgz|tbz2|txz|tar(\.(gz|bz2|xz))?)"),
    "json": re.compile(rf".*\.json{_COMPRESSED}"),
}
# The kinds that a format of the config may mean.
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
# What lies beside structures and holds none: index files of fairchem, locks of databases,
# and what VASP writes and reads besides.
_COMPANIONS = re.compile(
    r"metadata\.(npz|json)|.*[.-](lock|journal|wal|shm)|readme.*|licen[cs]e.*|.*\.md|"
    r"(incar|kpoints|potcar|poscar|contcar|oszicar|xdatcar|doscar|eigenval|ibzkpt|chg|chgcar|"
    r"wavecar|pcdat|procar|report|dynmat|locpot|elfcar|slurm|job)([._-].*)?"
)


class _NothingReadable(UserError):
    """A folder without files that a reader takes."""


@dataclass
class Located:
    """The files and folders that a dataset is read from.

    Attributes:
        paths: key of the config -> files, in the order in which they are read, and folders that
            one reader takes as a whole (DeePMD-kit's).
        remarks: what was left out, text and file, as `notes.Notes.add` takes them.
    """

    paths: dict[str, list[Path]] = field(default_factory=dict)
    remarks: list[tuple[str, str]] = field(default_factory=list)

    def all(self) -> list[Path]:
        """Return the paths of all keys, in the order of `KEYS`."""
        return [path for key in KEYS for path in self.paths.get(key, [])]


def locate(dataset: Files) -> Located:
    """Return what a dataset's paths stand for.

    A file that a glob or a folder under ``paths`` covers and that another key names belongs to
    the other key.

    Raises:
        UserError: nothing is there, a folder holds nothing that can be read or things of two
            kinds, or a file belongs to two parts. A message a line, each beginning with its key.
    """
    located, mistakes = Located(), []
    named: set[Path] = set()  # what paths names itself, and no pattern or folder stands for
    for key in KEYS:
        texts = getattr(dataset, key) or []
        found: list[Path] = []
        for text in [texts] if isinstance(texts, str) else texts:
            try:
                # What reads single atoms is always guessed: they seldom come as the data do.
                format = "auto" if key == "isolated_atoms" else dataset.format
                matches = _matches(text, format, located.remarks)
            except UserError as error:
                mistakes.append(f"{key}: {error}")
                continue
            if key == "paths":
                named |= {path for path in matches if path == Path(expanded(text))}
            text = f"file that stands under {key} twice, read once"
            located.remarks += [(text, str(path)) for path in matches if path in found]
            found += matches
        located.paths[key] = list(dict.fromkeys(found))
    mistakes += _divide(located, named)
    if mistakes:
        raise UserError("\n".join(mistakes))
    return located


def contents(path: Path) -> list[Path]:
    """Return a file itself, or the files in a folder that one reader takes as a whole."""
    return list(_files_below(path)) if path.is_dir() else [path]


def _divide(located: Located, named: set[Path]) -> Iterator[str]:
    """Give each file to one key; yield what is wrong where that cannot be decided."""
    for first, key in enumerate(KEYS):
        for other in KEYS[first + 1 :]:
            of_other = {path.resolve() for path in located.paths.get(other, [])}
            shared = [path for path in located.paths.get(key, []) if path.resolve() in of_other]
            twice = [path for path in shared if path in named or key != "paths"]
            if twice and other != "isolated_atoms":
                yield f"{key}: {twice[0]} is under {other}, too; name it under one of them"
            if not shared or twice:
                continue
            located.paths[key] = [path for path in located.paths[key] if path not in shared]
            text = f"file left out of paths, for {other} names it"
            located.remarks += [(text, str(path)) for path in shared]
            if not located.paths[key]:
                yield f"{key}: all files there are under {other}, too; name others"


def _matches(text: str, format: str, remarks: list[tuple[str, str]]) -> list[Path]:
    """Return the files and folders that one text of the config stands for."""
    written = expanded(text)
    # A name that is there is meant as it stands, even if it holds characters of a glob.
    if os.path.exists(written):
        paths = [Path(written)]
    elif glob.has_magic(written):
        paths = sorted(map(Path, glob.glob(written, recursive=True)), key=_natural)
        if not paths:
            raise UserError(
                f"no file fits the pattern {text!r}{_where(written)}; correct it, or name the "
                "files one by one"
            )
    else:
        raise UserError(
            f"there is no file {text!r}; write the path of your file there{_where(written)}"
        )
    # A folder that a pattern covers beside the files in it says nothing new.
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
                remarks.append(("folder without files that are read", str(error)))
    return found


def _where(path: str) -> str:
    return "" if os.path.isabs(path) else f" (relative ones begin at {Path.cwd()})"


def _in_folder(folder: Path, format: str, remarks: list[tuple[str, str]]) -> list[Path]:
    """Return what is to be read in a folder, in natural order of the names."""
    files = list(_files_below(folder))
    if any(file.name == "type.raw" for file in files) and format in ("auto", "deepmd"):
        return [folder]
    kinds = _kinds(files, format)
    if not kinds:
        raise _NothingReadable(_nothing_readable(folder, files, format))
    if len(kinds) > 1:
        examples = " and ".join(os.path.relpath(files[0], folder) for files in kinds.values())
        raise UserError(
            f"{folder} holds files of several kinds, such as {examples}; name those that are "
            f"meant by a pattern, such as '{folder}/**/*{next(iter(kinds.values()))[0].suffix}'"
        )
    ((kind, chosen),) = kinds.items()
    if kind == "vasp":
        chosen, repeated = _one_of_each_run(chosen)
        text = "OUTCAR not read, for vasprun.xml beside it holds the same run"
        remarks += [(text, str(file)) for file in repeated]
    known = {*chosen, *kinds[kind]}
    text = f"file in a folder not read, for its name is none of {kind} files"
    remarks += [
        (text, str(file))
        for file in files
        if file not in known and not _COMPANIONS.fullmatch(file.name.lower())
    ]
    return chosen


def _kinds(files: list[Path], format: str) -> dict[str, list[Path]]:
    """Return kind -> files of those that a format may mean."""
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
    # Beside data, JSON files and archives are rarely structures.
    for kind in ("json", "archive"):
        if len(kinds) > 1:
            kinds.pop(kind, None)
    return kinds


def _ase_would_take(name: str, format: str) -> bool:
    """Tell whether a file's name is one that ASE takes for one of its formats."""
    from ase.io.formats import ioformats  # half a second, which few configs have to wait for

    known = ioformats.get(format)
    plain = re.sub(r"\.(gz|bz2|xz)$", "", name)
    return known is not None and (
        known.match_name(plain) or any(plain.endswith(f".{end}") for end in known.extensions)
    )


def _one_of_each_run(files: list[Path]) -> tuple[list[Path], list[Path]]:
    """Divide VASP's outputs into those to read and those of runs that are read already."""
    chosen, repeated = [], []
    for _, group in groupby(files, key=lambda file: file.parent):
        of_run = list(group)
        runs = [file for file in of_run if file.name.lower().startswith("vasprun")]
        chosen += runs or of_run
        repeated += [file for file in of_run if runs and file not in runs]
    return chosen, repeated


def _nothing_readable(folder: Path, files: list[Path], format: str) -> str:
    if not files:
        return f"{folder} holds nothing; name the folder with your files"
    what = "" if format == "auto" else f" of the format {format}"
    return (
        f"no files{what} are known by their names in {folder}, which holds {_some(files, folder)}; "
        f"name those that are meant by a pattern, such as '{folder}/*{files[0].suffix}', and set "
        "format"
    )


def _files_below(folder: Path) -> Iterator[Path]:
    """Yield the files in a folder and in those within it, in natural order, none that is hidden."""
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
    """Return a key that sorts data.2 before data.10, and a folder's files together."""
    return [
        [(int(piece), "") if piece.isdecimal() else (-1, piece) for piece in re.split(r"(\d+)", p)]
        for p in path.parts
    ]


def _some(paths: Iterable[Path], folder: Path) -> str:
    """Name one to three paths in a folder, and say how many more there are."""
    names = [str(path.relative_to(folder)) for path in paths]
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more
