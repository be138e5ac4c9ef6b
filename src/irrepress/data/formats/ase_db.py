"""ASE databases: SQLite (``.db``), LMDB (``.aselmdb``), and tar archives of LMDB files.

An ASE-LMDB file maps ids (as strings) to rows as JSON, compressed by zlib; ``nextid`` and
``deleted_ids`` determine the existing ids. It is read with ``lmdb`` directly, because the package
that adds it to ``ase.db`` requires drivers for three database servers. The main process reads the
compressed rows, the workers decode them.

sAlex is tar.gz of such files, in eV, eV/Å and eV/Å^3; its row's ``data`` hold ``sid``, such as
``agm003300702_0_0``, whose first part is the material.
"""

import faulthandler
import json
import os
import resource
import signal
import sqlite3
import zlib
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import lmdb
import numpy as np
from ase.db import connect
from ase.io.jsonio import decode

from irrepress.core.errors import UserError
from irrepress.core.quantities import QUANTITIES
from irrepress.data.config import Units
from irrepress.data.formats.archive_members import is_archive, members
from irrepress.data.formats.base import Reader, Record, Remark, frames_per_chunk, gather, nothing_in
from irrepress.data.formats.compression import damaged
from irrepress.data.formats.file_kinds import kind_of, kind_of_bytes, wrong_kind
from irrepress.data.formats.frame import Frame
from irrepress.data.formats.schnetpack import OwnUnits, tells_units
from irrepress.data.formats.temporary import temporary_file

SUFFIX = ".aselmdb"
# No structure needs more, while zlib can expand a megabyte to a gigabyte.
_MOST_BYTES = 1 << 28
_PICKLE = b"\x80"  # how a pickle of protocol 2 or later begins


class _RowRange(NamedTuple):
    """Rows of an SQLite database from first to last id, inclusive, with units from its metadata."""

    path: str
    first: int
    last: int
    units: OwnUnits | None


class _PackedRow(NamedTuple):
    """A compressed row of an ASE-LMDB file.

    Attributes:
        source: name of the file in messages.
        names: path of the file and, in an archive, of the member.
        id: the row's id.
        data: JSON compressed by zlib.
    """

    source: str
    names: tuple[str, ...]
    id: int
    data: bytes


class AseDatabaseReader(Reader):
    """Reads ASE databases; a chunk is `_RowRange` (SQLite) or a list of `_PackedRow` (LMDB).

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "silicon.db"
        >>> with connect(path) as database:
        ...     for structure in structures:
        ...         _ = database.write(structure.to_atoms())
        >>> [record.where[-4:] for record in AseDatabaseReader([path]).records()]
        ['id 1', 'id 2', 'id 3', 'id 4']
    """

    def _check(self, path: Path) -> None:
        super()._check(path)
        if kind_of(path) == "SQLite":
            _check_sqlite(path)
        elif kind_of(path) != "LMDB" and not is_archive(path):
            raise wrong_kind(path, "an ASE database (.db, .aselmdb)", kind_of(path))

    def chunks(self) -> Iterator[_RowRange | list[_PackedRow]]:
        """See `Reader.chunks`."""
        for path in self.paths:
            kind = kind_of(path)
            if kind == "SQLite":
                yield from self._sqlite_chunks(path)
            elif kind == "LMDB":
                yield from gather(_lmdb_rows(path, str(path), (str(path),)))
            else:
                yield from gather(_archive_rows(path))

    def _sqlite_chunks(self, path: Path) -> Iterator[_RowRange]:
        metadata = _metadata(path)
        units = OwnUnits(metadata, str(path)) if tells_units(metadata) else None
        if units is not None:
            if self.units != Units():
                given = self.units.model_dump(exclude_defaults=True)
                raise UserError(
                    f"{path}: units says {', '.join(f'{k}: {v}' for k, v in given.items())}, but "
                    f"the database defines its own ({units}); remove units from the config"
                )
            text = f"units taken from the metadata of the database: {units}"
            self.remarks.append(Remark(text, str(path)))
        else:
            self.remarks += [
                Remark(f"{key} of its metadata not read; set units if it matters", str(path))
                for key in metadata
                if "unit" in key.lower()
            ]
        first, last = _span(path, 0)
        if first is None:
            raise nothing_in(path)
        while first is not None:
            yield _RowRange(str(path), first, last, units)
            first, last = _span(path, last)

    def parse(self, chunk: _RowRange | list[_PackedRow]) -> Iterator[Record | Remark | UserError]:
        """See `Reader.parse`."""
        return (
            self._parse_sqlite(chunk) if isinstance(chunk, _RowRange) else self._parse_lmdb(chunk)
        )

    def _parse_sqlite(self, chunk: _RowRange) -> Iterator[Record | Remark | UserError]:
        path, first, last, units = chunk
        wanted = {name: getattr(self.keys, name) for name in QUANTITIES}
        database = connect(path, type="db", use_lock_file=False)
        selection = f"id>={first},id<={last}"
        try:
            for row in database.select(selection, sort="id"):
                atoms = row.toatoms()
                fields = {**row.data, **row.key_value_pairs}
                frame = Frame.from_atoms(atoms, f"{path}: id {row.id}", fields)
                if units is not None:
                    frame = units.convert(frame, wanted)
                yield self._record(frame, path)
        except UserError:
            raise
        except Exception as error:  # damaged pages or values fail in any of three libraries
            raise UserError(
                f"{path}: the database is damaged between ids {first} and {last} "
                f"({type(error).__name__}: {error}); copy or download it again"
            ) from error

    def _parse_lmdb(self, chunk: list[_PackedRow]) -> Iterator[Record | Remark | UserError]:
        for source, names, identity, data in chunk:
            where = f"{source}: id {identity}"
            try:
                frame = _frame(decode(_inflated(data).decode()), where)
            except Exception as error:  # the content can be wrong in many ways
                yield UserError(
                    f"{where} cannot be read ({type(error).__name__}: {error}); copy or download "
                    "the file again"
                )
            else:
                yield self._record(frame, *names)


def _check_sqlite(path: Path) -> None:
    """Check that it is an ASE database; otherwise ASE would turn it into one."""
    if not _query(path, "SELECT name FROM sqlite_master WHERE type='table' AND name='systems'"):
        raise UserError(
            f"{path}: an SQLite database, but not of ASE's (it has no table systems); export the "
            "structures as extxyz"
        )


def _query(path: Path, question: str) -> list[tuple[Any, ...]]:
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as database:
            return database.execute(question).fetchall()
    except sqlite3.Error as error:
        raise UserError(
            f"{path}: the database is cut off or damaged ({error}); copy or download it again"
        ) from error


def _metadata(path: Path) -> dict[str, Any]:
    """Return the metadata of a database."""
    if not _query(path, "SELECT name FROM sqlite_master WHERE type='table' AND name='information'"):
        return {}
    found = _query(path, "SELECT value FROM information WHERE name='metadata'")
    try:
        metadata = json.loads(found[0][0]) if found else {}
    except (ValueError, TypeError) as error:
        raise UserError(
            f"{path}: its metadata are not JSON ({error}); copy or download it again"
        ) from error
    return metadata if isinstance(metadata, dict) else {}


def _span(path: Path, after: int) -> tuple[Any, ...]:
    """Return first and last id of the next chunk; None twice at the end."""
    # Selected by the primary key: an offset would count rows from the beginning each time.
    return _query(
        path,
        "SELECT min(id), max(id) FROM (SELECT id FROM systems "
        f"WHERE id > {after} ORDER BY id LIMIT {frames_per_chunk()})",
    )[0]


def _lmdb_rows(path: Path, source: str, names: tuple[str, ...]) -> Iterator[tuple[int, _PackedRow]]:
    """Yield size and content of the rows of an ASE-LMDB file in the order of their ids."""
    # LMDB trusts the pages of a file: damaged ones crash the process.
    if not _survives(lambda: deque(_whole_rows(path, source, names), maxlen=0)):
        raise UserError(
            f"{source}: the LMDB file is damaged (a process that read it crashed); copy or "
            "download it again"
        )
    yield from _whole_rows(path, source, names)


def _survives(read: Callable[[], Any]) -> bool:
    """Return whether a function runs in a forked process without crashing it."""
    child = os.fork()
    if child == 0:
        try:
            faulthandler.disable()
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            read()
        finally:  # errors are raised again in the main process
            os._exit(0)
    _, status = os.waitpid(child, 0)
    faults = (signal.SIGSEGV, signal.SIGBUS, signal.SIGABRT, signal.SIGFPE, signal.SIGILL)
    return not (os.WIFSIGNALED(status) and os.WTERMSIG(status) in faults)


def _whole_rows(
    path: Path, source: str, names: tuple[str, ...]
) -> Iterator[tuple[int, _PackedRow]]:
    """Yield the rows of a file with intact pages; see `_lmdb_rows`."""
    try:
        with (
            lmdb.open(str(path), subdir=False, readonly=True, lock=False) as environment,
            environment.begin() as transaction,
        ):
            _check_whole(path, source, environment)
            _check_rows(transaction, source)
            deleted = frozenset(_number(transaction, "deleted_ids", []))
            last = int(_number(transaction, "nextid", 1)) - 1
            if last <= len(deleted):
                raise nothing_in(Path(source))
            for identity in range(1, last + 1):
                if identity in deleted:
                    continue
                data = transaction.get(str(identity).encode())
                if data is None:
                    raise UserError(
                        f"{source}: row {identity} of {last} is missing; copy or download the "
                        "file again"
                    )
                yield len(data), _PackedRow(source, names, identity, data)
    except UserError:
        raise
    except Exception as error:  # damage causes errors in LMDB, zlib and JSON
        raise damaged(source, error) from error


def _check_whole(path: Path, source: str, environment: lmdb.Environment) -> None:
    """Check the length of a file: reading beyond its end would kill the process."""
    pages = environment.info()["last_pgno"] + 1
    needed, size = pages * environment.stat()["psize"], path.stat().st_size
    if size < needed:
        raise UserError(
            f"{source}: the file is cut off ({size} bytes of {needed}); copy or download it again"
        )


def _check_rows(transaction: lmdb.Transaction, source: str) -> None:
    """Check that an LMDB file contains rows of ASE."""
    if transaction.get(b"nextid") is not None:
        return
    key, value = next(iter(transaction.cursor()), (None, b""))
    if key is None:
        raise nothing_in(Path(source))
    if transaction.get(b"0", value)[:1] == _PICKLE:
        raise UserError(
            f"{source}: an LMDB file of pickles, such as those of OC20 and OC22; opening a pickle "
            "runs the code in it, so it is not read. If you trust the file, read it with the "
            "package that wrote it (fairchem-core 1: fairchem.core.datasets.LmdbDataset), and "
            "write its structures as extxyz or with ase.db as .aselmdb"
        )
    shown = key[:40].decode(errors="replace")
    raise UserError(
        f"{source}: an LMDB file, but not of ASE's (it has no nextid; a key is {shown!r}); write "
        "its structures as extxyz, or with ase.db as .aselmdb"
    )


def _number(transaction: lmdb.Transaction, key: str, default: Any) -> Any:
    data = transaction.get(key.encode())
    return default if data is None else decode(_inflated(data).decode())


def _inflated(data: bytes) -> bytes:
    """Decompress a row, with a limit on its size."""
    decompressor = zlib.decompressobj()
    content = decompressor.decompress(data, _MOST_BYTES)
    if decompressor.unconsumed_tail:
        raise ValueError(f"a row is larger than {_MOST_BYTES:,} bytes")
    if not decompressor.eof:
        raise ValueError("a row is cut off")
    return content


def _archive_rows(path: Path) -> Iterator[tuple[int, _PackedRow]]:
    found = False
    for name, stream in members(path):
        if not name.endswith(SUFFIX):
            continue
        found = True
        # LMDB needs a file; unpacking one at a time saves disk space.
        with temporary_file(stream, "rows.aselmdb", f"{path}: {name}") as plain:
            with plain.open("rb") as start:
                kind = kind_of_bytes(start.read(64))
            if kind != "LMDB":
                raise wrong_kind(f"{path}: {name}", "an LMDB file", kind)
            yield from _lmdb_rows(plain, f"{path}: {name}", (str(path), name))
    if not found:
        raise UserError(
            f"{path}: there are no {SUFFIX} files in this archive; set format to match its content"
        )


def _frame(row: Mapping[str, Any], where: str) -> Frame:
    """Return the frame of a row; arrays are nested lists in files written by fairchem."""
    return Frame(
        numbers=np.asarray(row["numbers"]),
        positions=np.asarray(row["positions"], dtype=float).reshape(-1, 3),
        cell=np.asarray(row["cell"], dtype=float).reshape(3, 3),
        pbc=np.asarray(row["pbc"], dtype=bool),
        results={key: row[key] for key in (*QUANTITIES, "free_energy") if key in row},
        fields={**(row.get("data") or {}), **(row.get("key_value_pairs") or {})},
        where=where,
    )
