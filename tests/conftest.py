"""Fixtures that all tests share."""

import os
from pathlib import Path

import pytest

pytest.register_assert_rewrite("irrepress.testing")

ROOT = Path(__file__).resolve().parents[1]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run files without slow tests first; a file stays in one piece for its fixtures' sake."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path in slow)


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Keep torch to one thread: the tests' tensors are small, and cores are shared."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    import torch

    torch.set_num_threads(1)


@pytest.fixture
def drawn(monkeypatch):
    """What progress bars have drawn since, on the terminal of a job whose stderr is a log."""
    import pty
    import select
    import threading
    import time

    from irrepress.core import terminal

    monkeypatch.setattr(terminal, "_device", None)
    first, second = pty.openpty()
    terminal.draw_on(second)
    text, over = bytearray(), threading.Event()

    def watch() -> None:  # a terminal that nobody reads makes what draws on it wait
        while not over.is_set():
            if select.select([first], [], [], 0.05)[0]:
                text.extend(os.read(first, 100_000))

    def so_far() -> str:
        deadline = time.monotonic() + 10
        while not text and time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep(0.2)
        return text.decode(errors="replace")

    watching = threading.Thread(target=watch, daemon=True)
    watching.start()
    yield so_far
    over.set()
    watching.join()
    os.close(first)
    os.close(second)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The directory of real datasets that some tests read; skips where it is absent.

    ``IRREPRESS_SHARED`` names the directory that holds ``data``; without it the directory
    ``shared`` beside the repository is taken.
    """
    shared = Path(os.environ.get("IRREPRESS_SHARED", ROOT.parent / "shared"))
    data = shared / "data"
    if not data.is_dir():
        pytest.skip(f"real datasets are not at {data}; set IRREPRESS_SHARED")
    return data


@pytest.fixture(scope="session")
def sevennet():
    """The adapter of SevenNet."""
    pytest.importorskip("sevenn", reason="SevenNet is not installed in this environment")
    from irrepress.families import get_family

    return get_family("sevennet")


@pytest.fixture(scope="session")
def sevennet_0(sevennet):
    """SevenNet-0 as published; as of all models here, tests change deep copies only."""
    return sevennet.load("7net-0")


@pytest.fixture(scope="session")
def sevennet_0_double(sevennet):
    """The same in float64, loaded as such: constants of a converted model stay rounded."""
    import torch

    return sevennet.load("7net-0", dtype=torch.float64)


@pytest.fixture(scope="session")
def small_sevennet(sevennet_0):
    """SevenNet-0's real weights narrowed to 16x0e+8x1e+4x2e: quick, and with every order."""
    return _narrowed(sevennet_0)


@pytest.fixture(scope="session")
def small_sevennet_double(sevennet_0_double):
    """The same in float64."""
    return _narrowed(sevennet_0_double)


def _narrowed(parent):
    import numpy as np

    from irrepress.core.target import Explicit
    from irrepress.pruning.budget import plan_for_irreps

    groups = parent.groups()
    scores = {g.name: np.zeros(g.channels) for g in groups}
    irreps = ["16x0e", *["16x0e+8x1e+4x2e"] * 4, "16x0e"]
    plan = plan_for_irreps(groups, scores, Explicit(irreps=irreps, filter_lmax=2))
    return parent.narrow(plan)


@pytest.fixture(scope="session")
def structures():
    """A crystal, a salt and a molecule, rattled; with labels that no model would give."""
    from irrepress.testing import sample_structures

    return sample_structures()
