import subprocess
import sys

import pytest
import torch

from irrepress.core.devices import resolve_device
from irrepress.core.errors import UserError

COUNT_FAULTS = """
import resource, torch
from irrepress.core.devices import resolve_device

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        torch.zeros(2_000_000)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

before = faults()
resolve_device("cpu")
faults()
print(before, faults())
"""


def test_devices_by_name():
    assert resolve_device("cpu") == torch.device("cpu")
    assert resolve_device("auto").type in ("cpu", "cuda")


def test_a_gpu_that_is_not_there():
    with pytest.raises(UserError, match=r"'cuda:99' does not exist .* set cpu or auto"):
        resolve_device("cuda:99")


@pytest.mark.parametrize("name", ["gpu", "CPU", "cuda:", "cuda:x", ""])
def test_what_is_no_device(name):
    message = f"^device {name!r}: give auto, cpu, cuda or cuda:1$"
    with pytest.raises(UserError, match=message):
        resolve_device(name)


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's allocator is Linux's")
def test_tensors_on_the_cpu_reuse_memory():
    command = [sys.executable, "-c", COUNT_FAULTS]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    before, after = map(int, printed.split())
    if before < 1000:
        pytest.skip("this C library keeps freed memory by itself")
    assert after < before / 10
