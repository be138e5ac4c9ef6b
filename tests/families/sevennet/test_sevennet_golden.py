"""Plans of SevenNet-0 as they were recorded, in this process and in another one."""

import os
import subprocess
import sys
from pathlib import Path

import golden_plans


def test_plans_are_the_recorded_ones():
    golden_plans.check("sevennet")


def test_plans_depend_on_neither_hashes_nor_threads():
    found = subprocess.run(
        [sys.executable, "-c", "import golden_plans; golden_plans.check('sevennet')"],
        env=os.environ
        | {"PYTHONHASHSEED": "20", "OMP_NUM_THREADS": "2"}
        | {"PYTHONPATH": os.pathsep.join([str(Path(golden_plans.__file__).parent), *sys.path])},
        capture_output=True,
        text=True,
    )
    assert found.returncode == 0, found.stderr[-3000:]
