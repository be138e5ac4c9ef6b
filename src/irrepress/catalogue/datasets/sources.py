"""Addresses of files in public repositories that host several datasets."""

BOTNET = "davkovacs/BOTNet-datasets"
BOTNET_COMMIT = "29e6d467317e4b5967b7ea5cbee54de953fa0d45"


def figshare(number: int) -> tuple[str, ...]:
    """Return the addresses of a figshare file.

    ``figshare.com/ndownloader`` is not included: its check for robots responds to programs with an
    empty HTTP 202.
    """
    return (
        f"https://ndownloader.figshare.com/files/{number}",
        f"https://api.figshare.com/v2/file/download/{number}",
    )


def github(repository: str, commit: str, path: str) -> tuple[str, ...]:
    """Return the addresses of a file of a GitHub repository at a fixed commit."""
    return (
        f"https://raw.githubusercontent.com/{repository}/{commit}/{path}",
        f"https://github.com/{repository}/raw/{commit}/{path}",
    )


def apollo(bitstream: str) -> tuple[str, ...]:
    """Return the addresses of a file of Cambridge's repository Apollo."""
    return (
        f"https://api.repository.cam.ac.uk/server/api/core/bitstreams/{bitstream}/content",
        f"https://www.repository.cam.ac.uk/bitstreams/{bitstream}/download",
    )
