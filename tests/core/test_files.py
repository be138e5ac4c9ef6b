import json
import os
import shutil
import stat
import subprocess
import sys

import pytest

from irrepress.core.errors import UserError
from irrepress.core.files import (
    atomic_path,
    check_directory,
    owner_mark,
    read_json,
    remove_leftovers,
    sha256,
    write_json,
)


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "result.txt"
    path.write_text("old")
    with pytest.raises(ZeroDivisionError), atomic_path(path) as temporary:
        temporary.write_text("half")
        _ = 1 / 0
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["result.txt"]


def test_success_replaces_the_file_with_ordinary_permissions(tmp_path):
    path = tmp_path / "deep" / "result.txt"
    with atomic_path(path) as temporary:
        temporary.write_text("new")
    assert path.read_text() == "new"
    plain = tmp_path / "plain"
    plain.write_text("")
    assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE(plain.stat().st_mode)


def test_a_place_that_cannot_be_written_is_a_clear_message(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be written"), atomic_path(tmp_path / "file" / "x"):
        pass


def test_nan_becomes_null(tmp_path):
    write_json(tmp_path / "a.json", {"x": float("nan"), "y": [1, float("nan")]})
    assert json.loads((tmp_path / "a.json").read_text()) == {"x": None, "y": [1, None]}


def test_bad_json_names_the_file(tmp_path):
    (tmp_path / "a.json").write_text("{")
    with pytest.raises(UserError, match=r"a\.json: not a JSON file"):
        read_json(tmp_path / "a.json")
    with pytest.raises(UserError, match=r"b\.json: cannot be read"):
        read_json(tmp_path / "b.json")


def test_sha256_of_a_known_content(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    assert sha256(tmp_path / "a").startswith("ba7816bf8f01cfea414140de5dae2223")


def test_a_directory_that_cannot_be_written_to_is_refused(tmp_path):
    check_directory(tmp_path)
    assert not list(tmp_path.iterdir())
    with pytest.raises(UserError, match=r"absent: results cannot be written here \(No such file"):
        check_directory(tmp_path / "absent")


def test_json_that_names_a_key_twice_is_refused(tmp_path):
    (tmp_path / "a.json").write_text('{"x": {"y": 1, "z": 2, "y": 3}}')
    with pytest.raises(UserError, match=r"a\.json: .*the key 'y' occurs twice; remove one"):
        read_json(tmp_path / "a.json")
    (tmp_path / "a.json").write_text('{"x": {"y": 1}, "y": 2}')
    assert read_json(tmp_path / "a.json") == {"x": {"y": 1}, "y": 2}


def test_json_that_is_too_deep_names_the_file(tmp_path):
    (tmp_path / "a.json").write_text("[" * 200_000)
    with pytest.raises(UserError, match=r"a\.json: not a JSON file"):
        read_json(tmp_path / "a.json")


def test_what_a_killed_process_left_is_removed_by_the_next(tmp_path):
    """Not what a process that runs is writing, nor what another machine may be."""
    path = tmp_path / "result.txt"
    killed = "import os; from irrepress.core.files import owner_mark; print(owner_mark(), end='')"
    mark = subprocess.run(
        [sys.executable, "-c", killed], check=True, capture_output=True, text=True
    ).stdout
    with atomic_path(path) as ours:
        parent = owner_mark().replace(str(os.getpid()), str(os.getppid()))
        live = tmp_path / f".result.txt.{parent}b"
        elsewhere = tmp_path / ".result.txt.00000000-1-c"
        foreign = tmp_path / ".result.txt.somebody"
        for file in (tmp_path / f".result.txt.{mark}a.txt", live, elsewhere, foreign):
            file.touch()
        with atomic_path(path) as second:
            second.write_text("new")
            assert {p.name for p in tmp_path.iterdir()} == {
                p.name for p in (ours, second, live, elsewhere, foreign)
            }
    os.utime(elsewhere, (0, 0))
    folder = tmp_path / f".result.txt.{mark}folder"
    (folder / "deep").mkdir(parents=True)
    remove_leftovers(tmp_path, ".result.txt.")
    assert {p.name for p in tmp_path.iterdir()} == {"result.txt", live.name, foreign.name}


WRITE = """
import resource, sys, torch
from irrepress.core.errors import UserError
from irrepress.training.checkpoints import AtomicCheckpointIO
if len(sys.argv) > 2:
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    AtomicCheckpointIO().save_checkpoint({"weights": torch.zeros(1_000_000)}, sys.argv[1])
except UserError as error:
    print(error)
"""


def told_of_writing(path, *arguments):
    done = subprocess.run(
        [sys.executable, "-c", WRITE, path, *arguments], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    (line,) = done.stdout.splitlines()
    assert line.startswith(f"{path}: writing failed (") and line.endswith("nothing was left behind")
    assert list(path.parent.iterdir()) == []
    return line


def test_a_full_disk_is_told_as_such_whoever_writes(tmp_path):
    """PyTorch tells of it as a RuntimeError that names a line of its own code."""
    assert "quota" in told_of_writing(tmp_path / "last.ckpt", "limited")
    mount = ["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", str(tmp_path)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("a small disk can be mounted by root only")
    try:
        assert "No space left" in told_of_writing(tmp_path / "last.ckpt")
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


def test_other_mistakes_while_a_file_is_written_stay_what_they_are(tmp_path):
    with pytest.raises(RuntimeError, match="shape"), atomic_path(tmp_path / "model.pt"):
        raise RuntimeError("shape")
