"""Atomic writing of files, and their checksums."""

import errno
import hashlib
import json
import os
import platform
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from irrepress.core.errors import UserError

# With less space than this, a run would fail within its first job.
_LEAST_SPACE = 1_000_000
# Writing a file never takes longer than this.
_OLD = 2 * 86400.0  # seconds


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path; rename it to ``path`` if the ``with`` block succeeds.

    A process that is killed leaves either the old file or the complete new one. The temporary file
    is in the same directory, so that the rename stays within one file system; one left by a killed
    process is removed when the same file is written again.

    Args:
        path: the final path; missing parent directories are created.

    Yields:
        The temporary path to write to, with the suffix of ``path``.

    Raises:
        UserError: if the directory is not writable or the disk is full.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        remove_leftovers(path.parent, f".{path.name}.")
        handle, name = tempfile.mkstemp(
            prefix=f".{path.name}.{owner_mark()}", suffix=path.suffix, dir=path.parent
        )
        os.close(handle)
    except OSError as error:
        raise UserError(
            f"{path}: cannot be written ({error.strerror}); check the permissions and the free "
            "space"
        ) from error
    temporary = Path(name)
    try:
        yield temporary
        # mkstemp creates private files; give the result the mode of a plain open().
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise UserError(f"{path}: writing failed ({error}); nothing was left behind") from error
    except RuntimeError as error:
        if (reason := _why_not_written(error, path.parent)) is None:
            raise
        raise UserError(f"{path}: writing failed ({reason}); nothing was left behind") from error
    finally:
        temporary.unlink(missing_ok=True)


def _why_not_written(error: RuntimeError, directory: Path) -> str | None:
    """Return why a library could not write, if its error does not say so; None for other errors.

    PyTorch's writer and HDF5 only report the line of code that noticed a full disk.
    """
    if shutil.disk_usage(directory).free < _LEAST_SPACE:
        return os.strerror(errno.ENOSPC)
    if any(name in str(error) for name in ("PytorchStreamWriter", "inline_container.cc")):
        return "the disk is full, or a quota is exceeded"
    return None


def owner_mark() -> str:
    """Return a prefix that identifies this machine and process, for temporary files."""
    return f"{_machine()}-{os.getpid()}-"


def remove_leftovers(directory: Path, prefix: str) -> None:
    """Remove temporary files and directories of processes that have ended.

    Args:
        directory: the directory to clean up.
        prefix: the beginning of their names, before the `owner_mark`. Files of running processes
            are kept, and those of other machines until they are two days old.
    """
    pattern = re.compile(re.escape(prefix) + r"(?P<machine>[0-9a-f]{8})-(?P<process>\d{1,10})-")
    with os.scandir(directory) as entries:
        found = [(entry, match) for entry in entries if (match := pattern.match(entry.name))]
    for entry, match in found:
        try:
            if match["machine"] == _machine():
                stale = not _runs(int(match["process"]))
            else:
                stale = time.time() - entry.stat(follow_symlinks=False).st_mtime > _OLD
            if stale and entry.is_dir(follow_symlinks=False):
                shutil.rmtree(entry.path)
            elif stale:
                os.unlink(entry.path)
        except OSError:  # another user's file, or removed in the meantime
            continue


@cache
def _machine() -> str:
    """Return an identifier of the machine or container within which process ids are unique."""
    try:
        numbers = os.readlink("/proc/self/ns/pid")
    except OSError:
        numbers = ""
    return hashlib.sha256(f"{platform.node()} {numbers}".encode()).hexdigest()[:8]


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    return True


def expanded(path: str) -> str:
    """Expand ``~`` and environment variables in a path, unless the path itself exists.

    Raises:
        UserError: if a variable is not set.
    """
    if os.path.exists(path):
        return path
    result = os.path.expandvars(os.path.expanduser(path))
    unset = re.search(r"\$(\w+|\{[^}]*\})", result)
    if unset is not None and not os.path.exists(result):
        raise UserError(
            f"the environment variable {unset[1].strip('{}')} in {path!r} is not set; set it, or "
            "write out the path"
        )
    return result


def check_directory(directory: str | Path) -> None:
    """Check that files can be written to a directory.

    Raises:
        UserError: if it is not writable or the disk is full.
    """
    directory = Path(directory)
    try:
        with tempfile.TemporaryFile(dir=directory) as file:
            file.write(bytes(_LEAST_SPACE))
            file.flush()
    except OSError as error:
        raise UserError(
            f"{directory}: results cannot be written here ({error.strerror}); free space or "
            "choose another directory (snakemake --directory)"
        ) from error


def refuse_existing(path: str | Path, overwrite: bool) -> None:
    """Refuse to write to a path that exists, unless it is to be overwritten.

    Raises:
        UserError: if it exists.
    """
    if Path(path).exists() and not overwrite:
        raise UserError(
            f"{path}: exists already; choose another name, or overwrite it (overwrite=True, or "
            "--overwrite on the command line)"
        )


def write_text(path: str | Path, text: str) -> None:
    """Write ``text`` to ``path`` atomically (UTF-8)."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: str | Path, content: Any) -> None:
    """Write ``content`` to ``path`` as indented JSON, atomically. NaN is written as null."""
    text = json.dumps(_without_nan(content), indent=2, ensure_ascii=False, allow_nan=False)
    write_text(path, text + "\n")


def read_json(path: str | Path) -> Any:
    """Read a JSON file.

    Raises:
        UserError: if the file is missing, is not JSON, or repeats a key.
    """
    path = Path(path)
    try:
        return json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=_without_repeats)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from error
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: not a JSON file ({error}); write it again") from error


def sha256(path: str | Path) -> str:
    """Return the SHA-256 of a file's content as a hexadecimal string."""
    path = Path(path)
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from error


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return a JSON object; reject repeated keys, of which Python silently uses the last."""
    content = dict(pairs)
    if len(content) < len(pairs):
        names = [name for name, _ in pairs]
        repeated = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key {repeated!r} occurs twice; remove one")
    return content


def _without_nan(value: Any) -> Any:
    if isinstance(value, float) and value != value:
        return None
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(item) for item in value]
    return value
