import json
from pathlib import Path

from irrepress.study import doctor, installation
from irrepress.study.doctor import Check
from irrepress.study.environments import home


def test_doctor_exits_with_1_if_something_is_missing(run, monkeypatch):
    checks = [Check("Python", "ok", "3.12"), Check("conda", "could be", "none", "get it")]
    monkeypatch.setattr(doctor, "examine_machine", lambda: checks)
    result = run("doctor")
    assert result.exit_code == 0 and "get it" in result.output
    checks.append(Check("packages", "missing", "no ase", "pip install 'irrepress'"))
    result = run("doctor", "--json")
    assert result.exit_code == 1
    assert json.loads(result.output)[-1] == {
        "name": "packages",
        "state": "missing",
        "found": "no ase",
        "mend": "pip install 'irrepress'",
    }


def test_setup_makes_an_environment_where_jobs_find_it(run, monkeypatch, tmp_path):
    made = []

    def make(family: str, root: Path, options: list[str]) -> Path:
        made.append((family, root, options))
        return root / f".venv-{family}" / "bin" / "python"

    monkeypatch.setattr(installation, "make_environment", make)
    result = run("setup", "mace")
    assert "Jobs of the family mace run in" in result.output
    assert "IRREPRESS_ENVIRONMENTS" not in result.output
    result = run("setup", "mace", "--into", tmp_path, "--", "--constraint", "mace.txt")
    assert made == [("mace", home(), []), ("mace", tmp_path, ["--constraint", "mace.txt"])]
    assert f"set IRREPRESS_ENVIRONMENTS={tmp_path}" in result.output
