"""One process at a time draws on a terminal, and what is printed is readable on any."""

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from irrepress.core import terminal
from irrepress.core.terminal import READABLE, claimed, draw_on


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


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("12 meV/Å, 3 meV/Å³", b"12 meV/A, 3 meV/A^3"),
        ("2 × 10⁻³ → Gräfe…", b"2 x 10^-^3 -> Grafe..."),
        ("漢 \udcc3", b"? ?"),
    ],
)
def test_what_an_encoding_lacks_has_readable_stand_ins(text, printed):
    assert text.encode("ascii", READABLE) == printed
    assert "Å ³ é".encode("latin-1", READABLE) == "Å ³ é".encode("latin-1")


def run(code, *arguments, **variables):
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env=os.environ | variables,
        capture_output=True,
    )


COMMAND = "from irrepress.cli import main; main()"
ENCODINGS = [
    {"PYTHONIOENCODING": "ascii"},
    {"PYTHONIOENCODING": "cp1252"},
    {"LC_ALL": "C", "LANG": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    {"TERM": "dumb", "PYTHONIOENCODING": "latin-1"},
]


@pytest.mark.parametrize("variables", ENCODINGS)
@pytest.mark.parametrize(
    ("arguments", "code"),
    [(("datasets",), 0), (("datasets", "rmd17-aspirin"), 0), (("check", "Å漢.yaml"), 2)],
)
def test_commands_print_in_every_encoding(arguments, code, variables):
    done = run(COMMAND, *arguments, **variables)
    assert done.returncode == code
    assert b"Traceback" not in done.stderr + done.stdout
    assert done.stdout.strip() or b"cannot be read" in done.stderr


def test_json_stays_json_in_every_encoding():
    plain = json.loads(run(COMMAND, "datasets", "--json").stdout)
    assert json.loads(run(COMMAND, "datasets", "--json", PYTHONIOENCODING="ascii").stdout) == plain


@pytest.mark.parametrize(("arguments", "code"), [("datasets", 0), ("check absent.yaml", 2)])
def test_a_closed_terminal_ends_no_command(arguments, code):
    line = f"{sys.executable} -c '{COMMAND}' {arguments} >&- 2>&-"
    assert subprocess.run(["sh", "-c", line]).returncode == code


def test_scripts_tell_errors_in_every_encoding():
    scripts = Path(__file__).parents[2] / "scripts"
    path = os.pathsep.join([str(scripts), os.environ.get("PYTHONPATH", "")])
    code = "from _common import UserError; raise UserError('forces of 3 eV/Å')"
    done = run(code, PYTHONIOENCODING="ascii", PYTHONPATH=path)
    assert done.stderr == b"irrepress: forces of 3 eV/A\n"


def test_logs_are_utf8_whatever_the_terminal_is(tmp_path):
    scripts = Path(__file__).parents[2] / "scripts"
    path = os.pathsep.join([str(scripts), os.environ.get("PYTHONPATH", "")])
    log = tmp_path / "job.log"
    code = (
        "import sys; from pathlib import Path; from _common import _turn_output_to\n"
        "_turn_output_to(Path(sys.argv[1])); print('3 eV/Å'); print('2 × 3', file=sys.stderr)"
    )
    assert run(code, str(log), PYTHONIOENCODING="ascii", PYTHONPATH=path).returncode == 0
    assert sorted(log.read_text(encoding="utf-8").splitlines()) == ["2 × 3", "3 eV/Å"]
