"""What files contain, told by SHA-256 that are computed once for each state of a file.

The workflow decides by it whether a user's file is another one. Times of change say too much,
after a copy, and too little: some tools set them back.
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

# Smaller files are read each time.
_SMALL = 1_000_000


class Contents:
    """The SHA-256 of files, remembered from run to run.

    A file is read again when its size, its inode or one of its times differ. The time of its last
    change of state (ctime) cannot be set by tools: it tells of content that was replaced under
    the old time of modification.

    Args:
        memory: JSON file that remembers; it need not be there, and its loss costs time only.
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
            UserError: it cannot be read.
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
        except UserError as error:  # it is computed again then
            logger.warning("%s", error)
        return digest

    def of_all(self, paths: Sequence[str | Path]) -> str | None:
        """Return one SHA-256 for the contents of several files, in their order; None for none."""
        if not paths:
            return None
        return hashlib.sha256("\n".join(map(self.of, paths)).encode()).hexdigest()
