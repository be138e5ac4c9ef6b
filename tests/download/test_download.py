"""Downloads survive what networks, servers and disks do to them."""

import errno
import gzip
import hashlib
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest
from file_server import Answer, FileServer

from irrepress.catalogue.entry import RemoteFile
from irrepress.core.errors import UserError
from irrepress.download import download as module
from irrepress.download import patience, transfer
from irrepress.download.download import download
from irrepress.download.partial_file import CHUNK, Digests, PartialFile

RANDOM = random.Random(3)
CONTENT = b"\x1f\x8b" + RANDOM.randbytes(900_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()
MD5 = hashlib.md5(CONTENT).hexdigest()
NAME = "frames.tar.gz"


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """No proxy for loopback, and no waiting between attempts."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(transfer, "BACKOFF", 0.0)


@pytest.fixture
def server():
    with FileServer(CONTENT).running() as server:
        yield server


@pytest.fixture
def other():
    """A mirror of the server."""
    with FileServer(CONTENT).running() as server:
        yield server


@pytest.fixture
def target(tmp_path):
    return tmp_path / "downloads" / "set" / NAME


def remote(*servers, checksum=f"sha256:{SHA256}", **kwargs):
    urls = tuple(
        server if isinstance(server, str) else f"{server.url}/{NAME}" for server in servers
    )
    return RemoteFile(NAME, urls, checksum, page="https://example.org/frames", **kwargs)


def get(file, target, *, mirror=None, retries=3, timeout=5.0):
    return download(file, target, mirror=mirror, collection="set", retries=retries, timeout=timeout)


def assert_alone(target, *others):
    """The file is whole, and nothing but what is named lies beside it."""
    assert target.read_bytes() == CONTENT
    assert sorted(path.name for path in target.parent.iterdir()) == sorted([NAME, *others])


def assert_nothing(target):
    assert not target.exists()
    assert not target.parent.exists() or not list(target.parent.iterdir())


@pytest.mark.parametrize("checksum", [f"sha256:{SHA256}", f"md5:{MD5}"], ids=["sha256", "md5"])
def test_downloads_and_verifies(server, target, checksum):
    assert get(remote(server, checksum=checksum, size=len(CONTENT)), target) == SHA256
    assert_alone(target)
    assert server.requests[0][1]["accept-encoding"] == "identity"
    assert server.requests[0][1]["user-agent"].startswith("irrepress/")


def test_what_is_there_already_is_not_asked_for(server, target):
    target.parent.mkdir(parents=True)
    target.write_bytes(CONTENT)
    assert get(remote(server), target) == SHA256
    assert not server.requests


def test_a_wrong_file_is_replaced_only_when_the_right_one_is_there(server, target):
    target.parent.mkdir(parents=True)
    target.write_bytes(b"half a file")
    server.answers.append(Answer(status=404))
    with pytest.raises(UserError, match="HTTP 404"):
        get(remote(server), target)
    assert target.read_bytes() == b"half a file"
    get(remote(server), target)
    assert_alone(target)


def test_goes_on_where_a_transfer_broke_off(server, target):
    server.answers += [Answer(break_at=300_000), Answer(break_at=300_000)]
    assert get(remote(server), target, retries=0) == SHA256
    assert server.ranges == [None, "bytes=300000-", "bytes=600000-"]
    assert [headers.get("if-range") for _, headers in server.requests[1:]] == ['"first"'] * 2
    assert_alone(target)


def test_attempts_without_new_bytes_are_counted(server, target):
    server.answers += [Answer(break_at=300_000), *[Answer(break_at=0)] * 9]
    with pytest.raises(UserError, match="was interrupted"):
        get(remote(server), target, retries=2)
    assert len(server.requests) == 4
    # What came is kept for the next run.
    server.answers.clear()
    get(remote(server), target)
    assert_alone(target)


def test_begins_anew_where_ranges_are_ignored(server, target):
    server.answers += [Answer(break_at=300_000), Answer(ranges=False)]
    get(remote(server), target)
    assert_alone(target)


def test_a_server_that_always_breaks_off_and_ignores_ranges_ends(server, target):
    server.answers += [Answer(break_at=300_000, ranges=False) for _ in range(9)]
    with pytest.raises(UserError, match="was interrupted"):
        get(remote(server), target, retries=2)
    assert len(server.requests) == 4


@pytest.mark.parametrize("checksum", [f"sha256:{SHA256}", None], ids=["known", "unknown"])
def test_a_file_that_changed_meanwhile_is_not_patched_together(server, target, checksum):
    server.content = b"\x1f\x8b" + RANDOM.randbytes(800_000)
    server.answers.append(Answer(break_at=300_000))
    with pytest.raises(UserError):
        server.answers += [Answer(status=404)]
        get(remote(server, checksum=checksum), target)
    server.content, server.etag = CONTENT, '"second"'
    assert get(remote(server, checksum=checksum), target) == SHA256
    assert server.ranges[-1] == "bytes=300000-"
    assert target.read_bytes() == CONTENT


def test_without_a_validator_only_a_checksum_allows_to_go_on(server, target):
    server.etag = None
    server.answers.append(Answer(break_at=300_000))
    get(remote(server), target)
    assert server.ranges == [None, "bytes=300000-"]
    target.unlink()
    server.answers.append(Answer(break_at=300_000))
    get(remote(server, checksum=None), target)
    assert server.ranges[2:] == [None, None]


def test_a_weak_validator_is_none(server, target):
    server.etag = 'W/"first"'
    server.answers.append(Answer(break_at=300_000))
    get(remote(server, checksum=None), target)
    assert server.ranges == [None, None]
    assert target.read_bytes() == CONTENT


def test_the_wrong_beginning_of_a_file_is_noticed_and_fetched_again(server, target):
    server.etag = None
    server.content = b"\x1f\x8b" + RANDOM.randbytes(len(CONTENT) - 2)
    server.answers += [Answer(break_at=300_000), Answer(status=404)]
    with pytest.raises(UserError):
        get(remote(server), target)
    server.content = CONTENT
    assert get(remote(server), target) == SHA256
    assert server.ranges[2:] == ["bytes=300000-", None]
    assert_alone(target)


def test_goes_on_at_a_mirror_that_has_the_same_file(server, other, target):
    server.answers += [Answer(break_at=300_000), Answer(status=410)]
    get(remote(server, other), target)
    assert other.ranges == ["bytes=300000-"]
    assert_alone(target)


def test_a_killed_process_is_continued(server, target):
    server.answers.append(Answer(stall_at=2 * CHUNK))
    code = (
        "import sys\n"
        "from irrepress.download.download import download\n"
        "from irrepress.catalogue.entry import RemoteFile\n"
        f"file = RemoteFile({NAME!r}, (sys.argv[1],), None)\n"
        "download(file, sys.argv[2], mirror=None, collection='set', retries=0, timeout=30)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code, f"{server.url}/{NAME}", str(target)])
    partial = target.with_name(f"{NAME}.partial")
    deadline = time.monotonic() + 20
    while not (partial.exists() and partial.stat().st_size == 2 * CHUNK):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not target.exists()
    assert get(remote(server, checksum=None), target) == SHA256
    assert server.ranges == [None, f"bytes={2 * CHUNK}-"]
    assert_alone(target, f"{NAME}.sha256")


def test_a_process_killed_before_the_file_got_its_name_asks_for_nothing(server, target):
    with PartialFile(target) as partial:
        partial.restart('"first"', len(CONTENT))
        partial.append(CONTENT)
    assert get(remote(server), target) == SHA256
    assert not server.requests
    assert_alone(target)


def test_a_partial_file_that_is_complete_without_a_known_length(server, target):
    with PartialFile(target) as partial:
        partial.restart('"first"', None)
        partial.append(CONTENT)
    assert get(remote(server), target) == SHA256
    assert server.ranges == [f"bytes={len(CONTENT)}-"]
    assert_alone(target)


def test_a_partial_file_that_is_longer_than_the_file_is_given_up(server, target):
    with PartialFile(target) as partial:
        partial.restart('"first"', None)
        partial.append(CONTENT + b"more")
    assert get(remote(server), target) == SHA256
    assert server.ranges == [f"bytes={len(CONTENT) + 4}-", None]


def test_another_process_with_the_same_file_is_waited_for(server, target):
    first = PartialFile(target)
    first.restart('"first"', len(CONTENT))
    results = []
    thread = threading.Thread(target=lambda: results.append(get(remote(server), target)))
    thread.start()
    time.sleep(0.2)
    assert thread.is_alive()
    first.append(CONTENT)
    first.finish()
    first.__exit__(None, None, None)
    thread.join(5)
    assert results == [SHA256] and not server.requests
    assert_alone(target)


def test_a_second_writer_where_locks_do_not_work_is_noticed(target):
    with PartialFile(target) as partial:
        partial.restart(None, len(CONTENT))
        partial.append(CONTENT)
        with partial.path.open("ab") as second:
            second.write(b"more")
        with pytest.raises(UserError, match="other content than was written"):
            partial.finish()
    assert not target.exists()


def test_stalls_end_an_attempt(server, target):
    server.answers.append(Answer(stall_at=2 * CHUNK))
    get(remote(server), target, timeout=0.2)
    assert server.ranges == [None, f"bytes={2 * CHUNK}-"]
    server.answers += [Answer(stall_at=0), Answer(stall_at=0)]
    target.unlink()
    with pytest.raises(UserError, match=r"no data for 0\.2 s"):
        get(remote(server), target, timeout=0.2, retries=1)


@pytest.mark.parametrize("status", [202, 429, 503])
def test_waits_as_long_as_the_server_asks(server, target, status, monkeypatch):
    waits = []
    monkeypatch.setattr(transfer.time, "sleep", waits.append)
    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True)
    server.answers += [
        Answer(status=status, headers={"Retry-After": "7"}),
        Answer(status=status, headers={"Retry-After": soon}),
        Answer(status=status, headers={"Retry-After": "soon"}),
    ]
    get(remote(server), target)
    assert waits[0] == 7 and 25 < waits[1] <= 30 and waits[2] == 0


def test_does_not_wait_for_hours(server, other, target, monkeypatch):
    monkeypatch.setattr(transfer.time, "sleep", pytest.fail)
    server.answers.append(Answer(status=503, headers={"Retry-After": "7200"}))
    get(remote(server, other), target)
    assert_alone(target)


def test_waits_longer_from_attempt_to_attempt(server, target, monkeypatch):
    waits = []
    monkeypatch.setattr(transfer, "BACKOFF", 1.0)
    monkeypatch.setattr(transfer.time, "sleep", waits.append)
    server.answers += [Answer(status=500) for _ in range(4)]
    get(remote(server), target, retries=4)
    assert waits == [1, 2, 4, 8]


def test_follows_redirects(server, other, target):
    server.answers.append(Answer(status=302, headers={"Location": f"{other.url}/elsewhere"}))
    get(remote(server), target)
    assert [path for path, _ in other.requests] == ["/elsewhere"]
    assert_alone(target)


def test_redirects_in_a_circle_end(server, target):
    server.answers += [Answer(status=302, headers={"Location": server.url})] * 50
    with pytest.raises(UserError, match="redirects"):
        get(remote(server), target)


def test_a_length_that_is_not_named(server, target):
    server.answers.append(Answer(length=False))
    get(remote(server), target)
    assert_alone(target)


def test_an_archive_that_is_called_an_encoding_stays_an_archive(server, target):
    server.content = gzip.compress(b"frame" * 1000)
    server.answers.append(Answer(headers={"Content-Encoding": "gzip"}))
    get(remote(server, checksum=None), target)
    assert target.read_bytes() == server.content


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (Answer(status=404), "HTTP 404 Not Found"),
        (Answer(status=403), "HTTP 403 Forbidden"),
        (Answer(corrupt=True), f"expected {SHA256}"),
        (Answer(body=b"<!DOCTYPE html><title>Log in</title>"), "a web page was received"),
        (Answer(body=b"Log in", headers={"Content-Type": "text/html"}), "a web page was received"),
        (Answer(body=b"PK other"), r"not a \.gz file"),
        (Answer(body=b""), "an empty file was received"),
        (Answer(body=CONTENT + b"more"), "900,006 bytes instead of 900,002"),
    ],
    ids=["gone", "forbidden", "corrupt", "page", "typed page", "other file", "empty", "length"],
)
def test_the_next_address_is_tried_and_all_reasons_are_told(server, other, target, answer, reason):
    server.answers.append(answer)
    get(remote(server, other, size=len(CONTENT)), target)
    assert_alone(target)
    target.unlink()
    server.answers.append(answer)
    other.answers.append(Answer(status=410))
    with pytest.raises(UserError, match=reason) as caught:
        get(remote(server, other, size=len(CONTENT)), target)
    message = str(caught.value)
    assert f"{server.url}/{NAME}: " in message and f"{other.url}/{NAME}: HTTP 410 Gone" in message
    assert f"by hand from https://example.org/frames and put it at {target}" in message
    assert "snakemake" not in message
    assert_nothing(target)


@pytest.mark.parametrize(
    "answer",
    [f"bytes 7-{len(CONTENT) - 1}/{len(CONTENT)}", "bytes 300000-999999/1000000", "5-9"],
    ids=["another range", "of another file", "nonsense"],
)
def test_another_range_than_asked_for_is_not_taken(server, target, answer):
    server.answers += [
        Answer(break_at=300_000),
        Answer(headers={"Content-Range": answer}),
        Answer(status=404),
    ]
    with pytest.raises(UserError, match="HTTP 404"):
        get(remote(server, checksum=None), target)
    assert server.ranges == [None, "bytes=300000-", None]
    assert_nothing(target)


def test_a_page_in_place_of_the_rest_does_not_cost_what_is_there(server, target):
    server.answers += [Answer(break_at=300_000), Answer(status=404)]
    with pytest.raises(UserError):
        get(remote(server), target)
    server.answers.append(Answer(body=b"<html>", ranges=False))
    with pytest.raises(UserError, match="web page"):
        get(remote(server), target)
    get(remote(server), target)
    assert server.ranges[-1] == "bytes=300000-"


@pytest.mark.parametrize("digits", [19, 5000])
def test_a_length_that_cannot_be_meant(server, target, digits):
    server.answers += [Answer(length=False, headers={"Content-Length": "9" * digits})]
    with pytest.raises(UserError, match=rf"the length that it sent has {digits:,} digits"):
        get(remote(server), target)
    server.answers += [Answer(length=False, headers={"Content-Length": "9" * 18})]
    with pytest.raises(UserError, match="has 999,999,999,999,999,999 bytes, which is unreasonable"):
        get(remote(server), target)
    server.answers += [
        Answer(break_at=300_000),
        Answer(status=206, headers={"Content-Range": f"bytes 300000-300001/{'9' * digits}"}),
    ]
    with pytest.raises(UserError, match=rf"the length that it sent has {digits:,} digits"):
        get(remote(server), target)
    get(remote(server), target)
    assert_alone(target)


def test_a_wait_that_cannot_be_meant(server, target):
    server.answers += [Answer(status=429, headers={"Retry-After": "9" * 5000})]
    get(remote(server), target)
    assert_alone(target)
    server.answers += [Answer(status=429, headers={"Retry-After": "9" * 400})]
    target.unlink()
    with pytest.raises(UserError, match="asks to wait"):
        get(remote(server), target)


def test_bytes_that_drip_for_ever_end_each_attempt(server, other, target, monkeypatch):
    monkeypatch.setattr(patience, "WINDOW", 0.2)
    server.answers += [Answer(body=CONTENT[:2000], drip=0.02, length=False) for _ in range(3)]
    get(remote(server, other), target, retries=1)
    assert len(server.requests) == 2 and len(other.requests) == 1
    assert_alone(target)
    target.unlink()
    # Nothing to go on with: it begins anew each time.
    server.etag = None
    server.answers += [Answer(body=CONTENT[:600], drip=0.02, length=False) for _ in range(3)]
    with pytest.raises(UserError, match=r"bytes per second were received over 0 s"):
        get(remote(server, checksum=None), target, retries=1)


def test_a_slow_but_honest_transfer_is_left_alone(server, target, monkeypatch):
    monkeypatch.setattr(patience, "WINDOW", 0.05)
    server.answers += [Answer(break_at=300_000), Answer(break_at=300_000)]
    get(remote(server), target, retries=0)
    assert_alone(target)


def test_a_head_that_drips_for_ever_ends_the_attempt(server, other, target, monkeypatch):
    monkeypatch.setattr(patience, "WINDOW", 0.2)
    server.answers += [Answer(drip_head=0.02) for _ in range(3)]
    get(remote(server, other), target, retries=1)
    assert len(other.requests) == 1
    assert_alone(target)


@pytest.mark.parametrize("size", [len(CONTENT), None], ids=["known", "unknown"])
def test_a_body_without_an_end(server, target, monkeypatch, size):
    monkeypatch.setattr(patience, "LARGEST", len(CONTENT))
    server.answers += [Answer(endless=True, length=False)]
    with pytest.raises(UserError, match=r"more than 900,002 bytes were received"):
        get(remote(server, size=size), target)
    assert_nothing(target)
    get(remote(server, size=size), target)
    assert_alone(target)


def test_a_body_without_an_end_does_not_fill_the_disk(server, target, monkeypatch):
    usage = shutil.disk_usage(target.anchor)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=10**8))
    monkeypatch.setattr(transfer, "_CHECKED", CHUNK)
    server.answers += [Answer(endless=True, length=False)]
    with pytest.raises(UserError, match=r"total size is unknown.* only 0\.10 GB free; free some"):
        get(remote(server), target)
    assert not target.exists()


def test_no_network_sends_to_the_login_node(target, monkeypatch):
    closed = FileServer(CONTENT)
    with closed.running():
        url = closed.url
    with pytest.raises(UserError, match="refused") as caught:
        get(remote(f"{url}/{NAME}", "http://host.invalid/a"), target, mirror="/mirror")
    message = str(caught.value)
    assert "host.invalid/a: the name of its host cannot be resolved" in message
    assert "run `snakemake data` where there is a network (a login node)" in message
    assert f"put it at {target} or /mirror/set/{NAME}" in message
    assert_nothing(target)


def test_a_host_never_heard_from_is_asked_twice(target, monkeypatch):
    waits = []
    monkeypatch.setattr(transfer.time, "sleep", waits.append)
    with pytest.raises(UserError, match="snakemake data"):
        get(remote("http://host.invalid/a"), target, retries=5)
    assert len(waits) == 1


def test_a_file_without_an_address_is_fetched_by_hand(target, tmp_path):
    with pytest.raises(UserError, match="no address is known") as caught:
        get(remote(), target)
    assert f"from https://example.org/frames and put it at {target}" in str(caught.value)
    target.write_bytes(CONTENT)
    assert get(remote(), target) == SHA256


@pytest.mark.parametrize("place", [f"set/{NAME}", NAME])
def test_the_local_mirror_comes_first(server, target, tmp_path, place):
    path = tmp_path / "mirror" / place
    path.parent.mkdir(parents=True)
    path.write_bytes(CONTENT)
    assert get(remote(server), target, mirror=tmp_path / "mirror") == SHA256
    assert not server.requests
    assert_alone(target)


def test_a_corrupt_file_in_the_local_mirror_is_passed_over(server, target, tmp_path):
    path = tmp_path / NAME
    path.write_bytes(CONTENT[:-1])
    get(remote(server), target, mirror=tmp_path)
    assert_alone(target)
    target.unlink()
    with pytest.raises(UserError, match=f"{path}: sha256 .* expected {SHA256}"):
        get(remote(), target, mirror=tmp_path)
    assert_nothing(target)


def test_where_no_checksum_is_published_the_first_is_recorded(server, target):
    assert get(remote(server, checksum=None), target) == SHA256
    record = target.with_name(f"{NAME}.sha256")
    assert record.read_text() == f"{SHA256}  {NAME}\n"
    target.unlink()
    server.content = b"\x1f\x8b another release"
    with pytest.raises(UserError, match=f"expected {SHA256}") as caught:
        get(remote(server, checksum=None), target)
    assert str(record) in str(caught.value)
    assert not target.exists()
    record.write_text("no checksum\n")
    with pytest.raises(UserError, match="does not contain a SHA-256; delete it"):
        get(remote(server, checksum=None), target)
    record.unlink()
    get(remote(server, checksum=None), target)
    assert target.read_bytes() == server.content


def test_a_file_put_there_by_hand_is_recorded(target):
    target.parent.mkdir(parents=True)
    target.write_bytes(CONTENT)
    get(remote(checksum=None), target)
    target.write_bytes(CONTENT[:-1])
    with pytest.raises(UserError, match="no address"):
        get(remote(checksum=None), target)


def test_a_disk_without_room_is_noticed_before_the_transfer(server, target, monkeypatch):
    usage = shutil.disk_usage(target.anchor)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=1000))
    with pytest.raises(UserError, match=r"the disk has only 0\.00 GB free"):
        get(remote(server), target)
    assert_nothing(target)


def test_a_disk_that_fills_up_keeps_what_came(server, target):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (500_000, hard))
    try:
        with pytest.raises(UserError, match=os.strerror(errno.EFBIG)) as caught:
            get(remote(server), target)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert str(target) in str(caught.value) and "a rerun resumes" in str(caught.value)
    assert not target.exists()
    assert get(remote(server), target) == SHA256
    assert server.ranges == [None, "bytes=500000-"]


def test_a_directory_that_cannot_be_made(server, tmp_path):
    (tmp_path / "downloads").write_text("a file in the way")
    with pytest.raises(UserError, match=r"cannot be written .* choose another"):
        get(remote(server), tmp_path / "downloads" / NAME)


def test_a_directory_that_may_not_be_written_to(server, target):
    target.parent.mkdir(parents=True)
    target.parent.chmod(0o555)
    root = os.geteuid() == 0
    try:
        if root:  # root may write everywhere, nobody may not
            os.seteuid(65534)
        with pytest.raises(UserError, match=r"Permission denied.*choose another"):
            get(remote(server), target)
    finally:
        if root:
            os.seteuid(0)
        target.parent.chmod(0o755)


def test_a_mirror_that_cannot_be_read(server, target, tmp_path):
    path = tmp_path / NAME
    path.symlink_to("/proc/self/mem")  # opens as a file, and fails when it is read
    get(remote(server), target, mirror=tmp_path)
    assert_alone(target)
    target.unlink()
    with pytest.raises(UserError, match=f"{path}: cannot be read .Input/output error."):
        get(remote(), target, mirror=tmp_path)
    assert_nothing(target)


def test_files_get_the_usual_mode(server, target):
    get(remote(server), target)
    plain = target.with_name("plain")
    plain.touch()
    assert target.stat().st_mode == plain.stat().st_mode


def test_every_byte_is_read_once(server, target, monkeypatch):
    """The checksum is that of the stream: the finished file is not read again."""
    monkeypatch.setattr(module, "digest_file", pytest.fail)
    get(remote(server), target)
    assert Path(target).read_bytes() == CONTENT


def test_checksums_of_several_kinds():
    digests = Digests(["md5"])
    digests.update(CONTENT)
    assert digests.results() == {"md5": MD5, "sha256": SHA256}


def test_a_wrong_checksum_names_its_kind(server, target):
    file = replace(remote(server), checksum=f"md5:{'0' * 32}")
    with pytest.raises(UserError, match=f"md5 {MD5}, expected {'0' * 32}"):
        get(file, target)
    assert_nothing(target)
