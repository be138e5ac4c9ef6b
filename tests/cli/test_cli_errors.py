import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("inspect", "absent.pt"), "absent.pt"),
        (("inspect", "7net-0", "--family", "sevenet"), "did you mean 'sevennet'"),
        (("evaluate", "7net-0", "absent.extxyz"), "absent.extxyz"),
        (("check", "absent.yaml"), "absent.yaml: cannot be read"),
        (("card", "absent.pt"), "card.json: cannot be read"),
        (("unpack", "absent.pt", "model.pt"), "absent.pt: no such file"),
    ],
)
def test_a_mistake_is_one_message_without_traceback(run, arguments, message):
    result = run(*arguments)
    assert result.exit_code == 2
    assert message in result.output
    assert "Traceback" not in result.output
    assert result.exception is None or isinstance(result.exception, SystemExit)


def test_commands_are_listed_without_importing_torch():
    """Torch and the packages of families take seconds to import."""
    code = "import sys, irrepress.cli; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
