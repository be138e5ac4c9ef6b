"""Progress bars show on terminals and nowhere else."""

import logging
import os
import pty

from irrepress.core import progress, terminal
from irrepress.core.progress import tracked, transferring


def test_silent_where_nobody_watches(monkeypatch, capsys):
    for name in ("FORCE_COLOR", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)
    assert list(tracked(range(5), "writing a.h5", "structures")) == list(range(5))
    captured = capsys.readouterr()
    assert captured.out == captured.err == ""


def test_counts_on_a_terminal_without_touching_standard_output(monkeypatch, capsys):
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert list(tracked(iter("abc"), "writing a.h5", "structures", total=3)) == list("abc")
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "writing a.h5" in captured.err and "structures" in captured.err


def test_transfers_are_silent_where_nobody_watches(monkeypatch, capsys):
    for name in ("FORCE_COLOR", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)
    with transferring("downloading a.zip") as show:
        show(10, 20)
    captured = capsys.readouterr()
    assert captured.out == captured.err == ""


def test_transfers_show_bytes_on_a_terminal(monkeypatch, capsys):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "120")
    with transferring("downloading a.zip") as show:
        show(1_000_000, None)
        show(2_500_000, 5_000_000)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "downloading a.zip" in captured.err and "2.5/5.0 MB" in captured.err


def test_long_work_leaves_lines_in_the_log(monkeypatch, caplog):
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    monkeypatch.setattr(progress, "SECONDS", 0.0)
    with caplog.at_level(logging.INFO):
        assert list(tracked("ab", "writing a.h5", "structures", total=2)) == ["a", "b"]
        with transferring("downloading a.zip") as show:
            show(1_500_000, None)
            show(2_500_000, 5_000_000)
    assert caplog.messages == [
        "writing a.h5: 0 of 2 structures",
        "writing a.h5: 1 of 2 structures",
        "downloading a.zip: 2 MB",
        "downloading a.zip: 2 of 5 MB",
    ]


def test_a_bar_on_the_terminal_leaves_lines_in_the_log_as_well(monkeypatch, caplog):
    """Where standard error goes to a log, and the bar to the terminal behind it."""
    ends = pty.openpty()
    monkeypatch.setattr(terminal, "_device", os.ttyname(ends[1]))
    monkeypatch.setattr(progress, "SECONDS", 0.0)
    with caplog.at_level(logging.INFO):
        assert list(tracked("ab", "writing a.h5", "structures", total=2)) == ["a", "b"]
    assert caplog.messages == ["writing a.h5: 0 of 2 structures", "writing a.h5: 1 of 2 structures"]
    assert b"writing a.h5" in os.read(ends[0], 1000)
    for end in ends:
        os.close(end)
