"""Progress bars show on terminals and nowhere else."""

from irrepress.structures.progress import tracked


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
