"""A real Slurm of two nodes on 127.0.0.1, with names, ports, keys and folders of its own, and its end.

As a program it runs a command on it: ``python tests/slurm_nodes.py sinfo``. It needs Debian's ``slurm-wlm`` and
``munge``, and to be root, as slurmd starts jobs for users.
"""

from __future__ import annotations

import getpass
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

NODES = {"bench1": ("/dev/null", "/dev/zero"), "bench2": ("/dev/full", "/dev/urandom")}  # their GPUs' devices
PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "sinfo")
PATH = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin"])  # where Debian has daemons
STARTS_WITHIN_S, ENDS_WITHIN_S = 120.0, 30.0
CONFIGURATION = """\
ClusterName=bench
SlurmctldHost=localhost(127.0.0.1)
SlurmctldPort={ctld_port}
SlurmctldPidFile={folder}/slurmctld.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmUser={user}
SlurmdUser={user}
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmdSpoolDir={folder}/spool-%n
SlurmdLogFile={folder}/slurmd-%n.log
SlurmdParameters=config_overrides
StateSaveLocation={folder}/state
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerParameters=batch_sched_delay=0,sched_interval=5,defer_batch
GresTypes=gpu
ReturnToService=2
SlurmdTimeout={lost_after_s}
InactiveLimit=0
KillWait=5
MessageTimeout=60
JobRequeue=0
{nodes}
PartitionName=main Nodes={names} Default=YES MaxTime=60 State=UP
"""


def explain_missing() -> str | None:
    """Say what a Slurm of our own lacks here, if anything."""
    lacking = [program for program in PROGRAMS if shutil.which(program, path=PATH) is None]
    if lacking:
        return f"no {', '.join(lacking)} here: apt-get install slurm-wlm munge"
    return None if os.geteuid() == 0 else "slurmd needs to be root"


class SlurmNodes:
    """The daemons, while they run.

    Attributes:
        folder: logs and state.
        environment: of commands that are to talk to this Slurm.
    """

    def __init__(self, folder: Path, lost_after_s: int) -> None:
        self.folder = folder
        self.environment = {**os.environ, "PATH": PATH, "SLURM_CONF": str(folder / "slurm.conf")}
        self._daemons: dict[str, subprocess.Popen] = {}
        self._write_configuration(lost_after_s)

    def start(self) -> None:
        """Start all daemons and wait until both nodes take jobs."""
        munge = {"socket": "munge.socket", "key-file": "munge.key", "pid-file": "munge.pid",
                 "log-file": "munge.log", "seed-file": "munge.seed"}
        self._start("munged", "--foreground", "--force",
                    *(f"--{option}={self.folder / name}" for option, name in munge.items()))
        wait_for("munged's socket", (self.folder / "munge.socket").is_socket, self.describe)
        self._start("slurmctld", "-D")
        for node in NODES:
            self.start_node(node)
        wait_for("idle nodes", lambda: self.read_states() == dict.fromkeys(NODES, "idle"), self.describe)

    def start_node(self, node: str) -> None:
        """Start the daemon of a node."""
        self._start("slurmd", "-D", "-N", node, name=node)

    def kill_node(self, node: str) -> None:
        """End a node as a lost power supply would: its daemon and all that its jobs started."""
        daemon = self._daemons.pop(node)
        _kill_node_steps(self.folder, node)
        daemon.kill()
        daemon.wait()

    def read_states(self) -> dict[str, str]:
        """Return the state of each node, by sinfo."""
        done = subprocess.run(["sinfo", "--noheader", "--Node", "--format=%N %T"], env=self.environment,
                              capture_output=True, text=True, timeout=120)
        return dict(line.split() for line in done.stdout.splitlines())

    def describe(self) -> str:
        """Return the ends of all logs."""
        logs = sorted(self.folder.glob("*.log"))
        return "\n".join(f"== {log.name}\n{log.read_text(errors='replace')[-2000:]}" for log in logs)

    def stop(self) -> None:
        """End all jobs and daemons."""
        if "slurmctld" in self._daemons:
            subprocess.run(["scancel", "--quiet", f"--user={getpass.getuser()}"], env=self.environment, timeout=120)
        for node in NODES:
            _kill_node_steps(self.folder, node)
        for daemon in reversed(self._daemons.values()):
            daemon.send_signal(signal.SIGTERM)
        for daemon in self._daemons.values():
            try:
                daemon.wait(ENDS_WITHIN_S)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()
        self._daemons.clear()

    def _start(self, program: str, *arguments: str, name: str = "") -> None:
        log = (self.folder / f"{name or program}.out.log").open("ab")
        with log:
            self._daemons[name or program] = subprocess.Popen(
                [program, *arguments], env=self.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True)

    def _write_configuration(self, lost_after_s: int) -> None:
        ports = find_free_ports(1 + len(NODES))
        lines = [f"NodeName={node} NodeHostname=localhost NodeAddr=127.0.0.1 Port={port} CPUs=2 RealMemory=4000 "
                 f"Gres=gpu:2 State=UNKNOWN" for node, port in zip(NODES, ports[1:])]
        text = CONFIGURATION.format(ctld_port=ports[0], folder=self.folder, user=getpass.getuser(),
                                    lost_after_s=lost_after_s, nodes="\n".join(lines), names=",".join(NODES))
        (self.folder / "slurm.conf").write_text(text)
        devices = [f"NodeName={node} Name=gpu File={file}" for node, files in NODES.items() for file in files]
        (self.folder / "gres.conf").write_text("\n".join(devices) + "\n")
        key = self.folder / "munge.key"
        key.touch(0o600)
        key.write_bytes(os.urandom(128))


def _kill_node_steps(folder: Path, node: str) -> None:
    """Kill the processes that start jobs of a node, and the jobs': those whose environment names node and folder."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            variables = (process / "environ").read_bytes().split(b"\0")
        except OSError:
            continue
        if f"SLURMD_NODENAME={node}".encode() in variables and f"SLURM_CONF={folder}/slurm.conf".encode() in variables:
            try:
                os.kill(int(process.name), signal.SIGKILL)
            except ProcessLookupError:
                continue


def find_free_ports(number: int) -> list[int]:
    """Return ports of 127.0.0.1 that nobody listens at now."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(number)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def wait_for(what: str, holds: Callable[[], bool], describe: Callable[[], str]) -> None:
    """Wait until something holds.

    Raises:
        TimeoutError: it does not; the message describes what there is.
    """
    until = time.monotonic() + STARTS_WITHIN_S
    while not holds():
        if time.monotonic() > until:
            raise TimeoutError(f"no {what} within {STARTS_WITHIN_S:g} s\n{describe()}")
        time.sleep(0.2)


@contextmanager
def slurm_nodes(lost_after_s: int = 30) -> Iterator[SlurmNodes]:
    """Give a running Slurm; at the end, however it comes, nothing of it is left.

    Args:
        lost_after_s: seconds of silence after which a node counts as lost.
    """
    with tempfile.TemporaryDirectory(prefix="bench-slurm-", dir="/tmp") as name:  # a socket's path has to be short
        os.chmod(name, 0o755)
        (Path(name) / "state").mkdir()
        nodes = SlurmNodes(Path(name), lost_after_s)
        try:
            nodes.start()
            yield nodes
        finally:
            nodes.stop()


def main(command: list[str]) -> int:
    """Run ``command`` on a Slurm of its own; returns its exit status."""
    missing = explain_missing()
    if missing is not None:
        sys.exit(missing)
    with slurm_nodes() as nodes:
        return subprocess.run(command, env=nodes.environment).returncode


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    sys.exit(main(sys.argv[1:]))
