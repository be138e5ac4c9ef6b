"""Verified downloads of published files, from a local mirror or their official addresses.

requests handles redirects, proxies, certificates and timeouts; `transfer` keeps the bytes of an
interrupted transfer. pooch is not used, because it cannot resume, reads each finished file a second
time for its checksum (12 GB in one case), and uses random names for temporary files, which a killed
process leaves behind. Its download, checksum and retries would all have to be replaced.
"""

import logging
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from irrepress.catalogue.entry import RemoteFile
from irrepress.core.errors import UserError
from irrepress.core.files import atomic_path, write_text
from irrepress.core.progress import transferring
from irrepress.download.partial_file import CHUNK, Digests, PartialFile, digest_file
from irrepress.download.transfer import AddressError, fetch

logger = logging.getLogger(__name__)


def download(
    file: RemoteFile,
    target: str | Path,
    *,
    mirror: str | Path | None,
    collection: str,
    retries: int,
    timeout: float,
) -> str:
    """Download a file unless it exists already, and verify it.

    An existing file, the local mirror and the file's addresses are tried in this order. If no
    checksum is published, the SHA-256 of the first download is written beside the file as
    ``NAME.sha256`` (for `sha256sum --check`), and later downloads must match it.

    Args:
        file: the file to download.
        target: path of the downloaded file.
        mirror: local directory that contains COLLECTION/NAME or NAME.
        collection: directory of the file in the mirror.
        retries: number of further attempts per address.
        timeout: timeout in seconds without receiving data.

    Returns:
        The SHA-256 of the file.

    Raises:
        UserError: if no source provides the right file or it cannot be written; ``target`` is never
            incomplete, and a rerun resumes the download.
    """
    target = Path(target)
    record = _record(target)
    checksum = file.checksum or _recorded(record)
    sha256 = _present(target, checksum)
    if sha256 is None:
        algorithms = [checksum.partition(":")[0]] if checksum else []
        with PartialFile(target, algorithms) as partial:
            # Another process may have downloaded it in the meantime.
            sha256 = _present(target, checksum)
            if sha256 is None:
                sha256 = _bring(
                    file, checksum, partial, _mirrored(file, mirror, collection), retries, timeout
                )
    if not checksum:
        logger.info("%s: no checksum is published; recorded in %s", target, record.name)
        write_text(record, f"{sha256}  {target.name}\n")
    return sha256


def _bring(
    file: RemoteFile,
    checksum: str | None,
    partial: PartialFile,
    mirrored: list[Path],
    retries: int,
    timeout: float,
) -> str:
    """Try all sources until the file is downloaded; return its SHA-256."""
    failures = []
    no_network = False
    for path in mirrored:
        if not os.path.isfile(path):
            failures.append(f"{path}: is not there")
            continue
        try:
            return _copy(path, partial.target, checksum)
        except AddressError as error:
            failures.append(f"{path}: {error}")
    for url in file.urls:
        logger.info("%s: from %s", partial.target, url)
        try:
            _fetch_verified(url, file, checksum, partial, retries, timeout)
            partial.finish()
            return partial.results()["sha256"]
        except AddressError as error:
            no_network |= error.no_network
            failures.append(f"{url}: {error}")
            logger.warning("%s: %s", url, error)
    raise _failed(file, partial.target, mirrored, failures, no_network)


def _fetch_verified(
    url: str,
    file: RemoteFile,
    checksum: str | None,
    partial: PartialFile,
    retries: int,
    timeout: float,
) -> None:
    while True:
        resumed = partial.size > 0
        with transferring(f"downloading {file.name}") as show:
            fetch(
                url,
                partial,
                size=file.size,
                blind_resume=checksum is not None,
                retries=retries,
                timeout=timeout,
                show=show,
            )
        wrong = _mismatch(partial.results(), checksum)
        if wrong is None:
            return
        partial.restart()
        # The beginning may have been from another file or address.
        if not resumed:
            raise AddressError(wrong)


def _copy(source: Path, target: Path, checksum: str | None) -> str:
    """Copy a file from the local mirror if its checksum is right."""
    digests = Digests([checksum.partition(":")[0]] if checksum else [])
    try:
        stream = source.open("rb")
    except OSError as error:
        raise AddressError(f"cannot be read ({error.strerror})") from error
    with stream, atomic_path(target) as temporary:
        with temporary.open("wb") as copy:
            for data in _chunks(stream):
                digests.update(data)
                copy.write(data)
        results = digests.results()
        wrong = _mismatch(results, checksum)
        if wrong is not None:
            raise AddressError(wrong)
    logger.info("%s: copied from %s", target, source)
    return results["sha256"]


def _chunks(stream: BinaryIO) -> Iterator[bytes]:
    try:
        while data := stream.read(CHUNK):
            yield data
    except OSError as error:
        raise AddressError(f"cannot be read ({error.strerror})") from error


def _present(target: Path, checksum: str | None) -> str | None:
    """Return the SHA-256 of an existing file, or None if it is missing or wrong."""
    if not os.path.exists(target):  # also False if the directory is not searchable
        return None
    results = digest_file(target, [checksum.partition(":")[0]] if checksum else [])
    wrong = _mismatch(results, checksum)
    if wrong is None:
        return results["sha256"]
    logger.warning("%s: %s; downloading it again", target, wrong)
    return None


def _mismatch(results: dict[str, str], checksum: str | None) -> str | None:
    """Return a message if a checksum differs, otherwise None."""
    if checksum is None:
        return None
    algorithm, _, expected = checksum.partition(":")
    if results[algorithm] == expected:
        return None
    return f"{algorithm} {results[algorithm]}, expected {expected}"


def _record(target: Path) -> Path:
    return target.with_name(f"{target.name}.sha256")


def _recorded(record: Path) -> str | None:
    """Return the checksum recorded by an earlier download."""
    if not os.path.exists(record):
        return None
    try:
        digest = record.read_text(encoding="utf-8").split()[0]
    except (OSError, UnicodeDecodeError, IndexError):
        digest = ""
    if not re.fullmatch("[0-9a-f]{64}", digest):
        raise UserError(
            f"{record}: does not contain a SHA-256; delete it, and the next download writes it "
            "again"
        )
    return f"sha256:{digest}"


def _mirrored(file: RemoteFile, mirror: str | Path | None, collection: str) -> list[Path]:
    """Return the existing files of the local mirror, or its first possible path."""
    if mirror is None:
        return []
    places = [Path(mirror) / collection / file.name, Path(mirror) / file.name]
    return [place for place in places if os.path.isfile(place)] or places[:1]


def _failed(
    file: RemoteFile, target: Path, mirrored: list[Path], failures: list[str], no_network: bool
) -> UserError:
    """Return an error that lists what was tried and what to do."""
    reasons = "; ".join(failures) or "no address is known that works without a browser"
    mends = []
    if no_network:
        mends.append("run `snakemake data` where there is a network (a login node)")
    by_hand = f"fetch it by hand{f' from {file.page}' if file.page else ''} and put it at {target}"
    if mirrored:
        by_hand += f" or {mirrored[0]}"
    mends.append(by_hand)
    record = _record(target)
    if os.path.exists(record):
        mends.append(f"delete {record} if the source may have another version now")
    return UserError(f"{target}: not downloaded. {reasons}. Mend: {', or '.join(mends)}")
