"""SHA-256 of file contents, computed once for each state of a file.

The workflow uses them to decide whether a user's file has changed. Modification times change when a
file is copied, and some tools reset them after a change.
"""

import hashlib
import json
import logging
import os
from collections.abc import Sequence
from pathlib import Path

from irrepress.core.errors import UserError
from irrepress.core.files import sha256, write_json

logger = logging.getLogger(__name__)

# Smaller files are always read.
_SMALL = 1_000_000


class Contents:
    """A cache of the SHA-256 of files that persists between runs.

    A file is read again if its size, inode or one of its times differs. Tools cannot set its ctime,
    which thus reveals content that was replaced while keeping the modification time.

    Args:
        memory: JSON file that holds the cache; it is created if missing and can be deleted.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> _ = (folder / "a.xyz").write_text("1")
        >>> Contents(folder / "hashes.json").of(folder / "a.xyz")[:8]
        '6b86b273'
    """

    def __init__(self, memory: str | Path):
        self._memory = Path(memory)
        try:
            self._known = dict(json.loads(self._memory.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            self._known = {}

    def of(self, path: str | Path) -> str:
        """Return the SHA-256 of a file.

        Raises:
            UserError: if it cannot be read.
        """
        path = Path(path)
        try:
            status = path.stat()
        except OSError as error:
            raise UserError(f"{path}: cannot be read ({error.strerror})") from error
        if status.st_size < _SMALL:
            return sha256(path)
        key = os.path.abspath(path)
        times = [status.st_mtime_ns, status.st_ctime_ns]
        state = [status.st_size, status.st_dev, status.st_ino, *times]
        known = self._known.get(key)
        if isinstance(known, dict) and known.get("state") == state:
            return known["sha256"]
        digest = sha256(path)
        self._known[key] = {"state": state, "sha256": digest}
        try:
            write_json(self._memory, self._known)
        except UserError as error:  # the hash is computed again next time
            logger.warning("%s", error)
        return digest

    def of_all(self, paths: Sequence[str | Path]) -> str | None:
        """Return a joint SHA-256 of several files, in order; None if there are none."""
        if not paths:
            return None
        return hashlib.sha256("\n".join(map(self.of, paths)).encode()).hexdigest()
