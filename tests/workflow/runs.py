"""How the tests run the real Snakefile."""

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TINY = Path(__file__).with_name("tiny.yaml")


def command(directory: Path, *arguments: str, config: Path = TINY) -> list[str]:
    """The command line of a run of the Snakefile with its results in ``directory``."""
    return [
        sys.executable,
        *("-m", "snakemake", *arguments),  # targets first: --configfile takes several values
        *("--snakefile", str(ROOT / "Snakefile"), "--directory", str(directory)),
        *("--cores", "2", "--configfile", str(config)),
    ]


def without_conda() -> dict[str, str]:
    """PATH without the places that hold conda."""
    places = os.environ["PATH"].split(os.pathsep)
    return {"PATH": os.pathsep.join(p for p in places if not Path(p, "conda").exists())}


def environment() -> dict[str, str]:
    """The environment of a run: one thread a job, and no settings of the user."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("SNAKEMAKE_")}
    return kept | {"OMP_NUM_THREADS": "1"}
