"""One process at a time draws on a terminal, whichever descriptor it got it by."""

import os
import pty

import pytest

from irrepress import terminal
from irrepress.terminal import claimed, draw_on


@pytest.fixture
def terminals(monkeypatch):
    """Both ends of a terminal; what is drawn on the second can be read from the first."""
    monkeypatch.setattr(terminal, "_device", None)
    ends = pty.openpty()
    yield ends
    for end in ends:
        os.close(end)


def test_nobody_watches_a_log(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(terminal, "_device", None)
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    with (tmp_path / "log").open("w") as log:
        draw_on(log.fileno())
    with claimed() as console:
        assert console is None


def test_what_is_drawn_reaches_the_terminal(terminals):
    first, second = terminals
    draw_on(second)
    with claimed() as console:
        console.print("half way")
    assert b"half way" in os.read(first, 100)


def test_only_one_process_draws(terminals):
    draw_on(terminals[1])
    with claimed() as console:
        assert console is not None
        # Another claim opens the device anew, as another process would.
        with claimed() as other:
            assert other is None
    with claimed() as console:
        assert console is not None
