"""A real SLURM on this machine for the length of a test session: one controller, two nodes.

Its GPUs are stand-ins: files that SLURM counts and hands out like devices. Jobs are queued,
limited, killed and accounted as on a cluster; what runs in them runs on the CPU.
"""

import os
import re
import shutil
import socket
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from string import Template

import psutil

TEMPLATE = Path(__file__).with_name("slurm.conf.template")
PACKAGES = ["slurmctld", "slurmd", "slurm-client", "munge", "slurm-wlm-basic-plugins"]
# Job steps drop SLURM_CONF from their environment and look here.
SYSTEM_CONFIG = Path("/etc/slurm/slurm.conf")
NODES = ("node1", "node2")
GPU_TYPE = "a100"


class Cluster:
    """A running cluster.

    Args:
        directory: holds its configuration, keys, logs and pid files.
    """

    def __init__(self, directory: Path):
        self.directory = directory
        self.config = directory / "slurm.conf"

    @property
    def environment(self) -> dict[str, str]:
        """What a process needs in its environment to talk to this cluster."""
        return {"SLURM_CONF": str(self.config)}

    def start(self) -> None:
        """Write the configuration and start all daemons; return when every node is idle."""
        self._write()
        munge = self.directory / "munge"
        self._call(
            "munged",
            f"--key-file={munge / 'key'}",
            f"--socket={munge / 'socket'}",
            f"--pid-file={munge / 'pid'}",
            f"--log-file={munge / 'log'}",
            f"--seed-file={munge / 'seed'}",
            "--force",
        )
        SYSTEM_CONFIG.parent.mkdir(parents=True, exist_ok=True)
        SYSTEM_CONFIG.unlink(missing_ok=True)
        SYSTEM_CONFIG.symlink_to(self.config)
        self._call("slurmctld", "-f", str(self.config))
        for node in NODES:
            self.start_node(node)

    def start_node(self, node: str) -> None:
        """Start the daemon of a node and wait until the controller counts on it."""
        self._call("slurmd", "-N", node, "-f", str(self.config))
        deadline = time.monotonic() + 30
        while not self.node_state(node).startswith(("idle", "mixed", "allocated")):
            if time.monotonic() > deadline:
                logs = [path.read_text()[-2000:] for path in self.directory.glob("log/*.log")]
                raise RuntimeError(f"{node} did not come up\n" + "\n".join(logs))
            time.sleep(0.1)

    def kill_node(self, node: str) -> None:
        """Let a node die: its daemon and all that runs on it, without a goodbye."""
        daemon = psutil.Process(int((self.directory / f"slurmd-{node}.pid").read_text()))
        _kill_with_children(daemon)
        for step in self._steps():
            if node in {child.environ().get("SLURMD_NODENAME") for child in step.children(True)}:
                _kill_with_children(step)

    def node_state(self, node: str) -> str:
        """Return what sinfo says of a node, such as ``idle`` or ``down*``."""
        return self.ask("sinfo", "-h", "-N", "-n", node, "-p", "cpu", "-o", "%T").strip()

    def ask(self, *command: str) -> str:
        """Run a command of SLURM and return what it prints."""
        return subprocess.run(
            command,
            env=os.environ | self.environment,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        ).stdout

    def jobs(self, *states: str, directory: Path | None = None) -> list[str]:
        """Return the ids of jobs in some states; by default of those that wait or run.

        Args:
            states: as squeue names them.
            directory: only those that were sent from here.
        """
        wanted = states or ("PENDING", "RUNNING", "COMPLETING", "CONFIGURING")
        lines = self.ask("squeue", "-h", "-o", "%i %Z", "-t", ",".join(wanted)).splitlines()
        found = [line.split(" ", 1) for line in lines]
        return [number for number, place in found if directory in (None, Path(place))]

    def job(self, number: str) -> dict[str, str]:
        """Return what the controller knows of a job."""
        text = self.ask("scontrol", "show", "job", number)
        return dict(re.findall(r"(\w+(?:/\w+)?)=(\S*)", text))

    def stop(self) -> None:
        """Cancel what is left and stop all daemons, by their pid files."""
        if left := self.jobs():
            self.ask("scancel", *left)
            time.sleep(1)
        pid_files = [*self.directory.glob("slurmd-*.pid"), self.directory / "slurmctld.pid"]
        for pid_file in [*pid_files, self.directory / "munge" / "pid"]:
            _stop(pid_file)
        if SYSTEM_CONFIG.is_symlink() and SYSTEM_CONFIG.readlink() == self.config:
            SYSTEM_CONFIG.unlink()

    def _write(self) -> None:
        for name in ("munge", "state", "log", "dev", *(f"spool-{node}" for node in NODES)):
            (self.directory / name).mkdir(parents=True)
        self.directory.chmod(0o755)
        munge = self.directory / "munge"
        munge.chmod(0o711)
        (munge / "key").write_bytes(os.urandom(128))
        (munge / "key").chmod(0o400)
        host = socket.gethostname().split(".")[0]
        controller, *ports = _free_ports(1 + len(NODES))
        lines = [
            f"NodeName={node} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs=4 "
            f"RealMemory=16000 Gres=gpu:{GPU_TYPE}:2 State=UNKNOWN"
            for node, port in zip(NODES, ports, strict=True)
        ]
        self.config.write_text(
            Template(TEMPLATE.read_text()).substitute(
                host=host,
                directory=self.directory,
                controller_port=controller,
                nodes="\n".join(lines),
            )
        )
        # A GPU must be a file; that it is one is all that SLURM asks.
        for gpu in range(2):
            os.mknod(self.directory / "dev" / f"gpu{gpu}", 0o20666, os.makedev(1, 3))
        devices = f"{self.directory}/dev/gpu[0-1]"
        (self.directory / "gres.conf").write_text(
            "".join(f"NodeName={n} Name=gpu Type={GPU_TYPE} File={devices}\n" for n in NODES)
        )

    def _call(self, *command: str) -> None:
        done = subprocess.run(
            command, env=os.environ | self.environment, capture_output=True, text=True, timeout=60
        )
        if done.returncode:
            raise RuntimeError(f"{command[0]}: {done.stdout}{done.stderr}")

    def _steps(self) -> list[psutil.Process]:
        """Return the processes of SLURM that hold the job steps of this cluster."""
        return [
            process
            for process in psutil.process_iter(["name", "cwd"])
            if process.info["name"].startswith("slurmstepd")
            and Path(process.info["cwd"] or "/").is_relative_to(self.directory)
        ]


def why_not() -> str | None:
    """Say why a cluster cannot be started here; installs SLURM where that is all it lacks."""
    if os.geteuid() != 0:
        return "a SLURM cluster for tests can only be started by root"
    if (
        SYSTEM_CONFIG.exists()
        and "throw-away cluster of the tests" not in SYSTEM_CONFIG.read_text()
    ):
        return f"this machine has a SLURM of its own ({SYSTEM_CONFIG})"
    commands = ("slurmctld", "slurmd", "sbatch", "munged")
    if all(shutil.which(command) for command in commands):
        return None
    if shutil.which("apt-get") is None:
        return "SLURM is not installed and there is no apt-get"
    install = ["apt-get", "install", "-y", "--no-install-recommends", *PACKAGES]
    for command in (install, ["apt-get", "update"], install):
        done = subprocess.run(
            command,
            env=os.environ | {"DEBIAN_FRONTEND": "noninteractive"},
            capture_output=True,
            text=True,
        )
        if command is install and done.returncode == 0:
            return None
    return f"SLURM cannot be installed: {done.stderr.strip().splitlines()[-1]}"


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


def _stop(pid_file: Path) -> None:
    try:
        pid = int(pid_file.read_text())
        os.kill(pid, 15)
    except (OSError, ValueError):
        return
    for _ in range(50):
        if not Path(f"/proc/{pid}").exists():
            return
        time.sleep(0.1)
    with suppress(ProcessLookupError):  # it ended just now
        os.kill(pid, 9)


def _kill_with_children(process: psutil.Process) -> None:
    for member in [process, *process.children(recursive=True)]:
        with suppress(psutil.NoSuchProcess):
            member.kill()
