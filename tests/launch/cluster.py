"""A Slurm cluster of two nodes on the loopback interface, for tests: Slurm's own daemons, as processes of the test."""

import contextlib
import os
import pwd
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

NODES = ("127.0.0.1", "127.0.0.2")
"""JAX connects to the first node by its name, so that names that are addresses spare an entry in /etc/hosts."""

_DAEMONS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "squeue", "scontrol", "scancel")
_SEARCHED = f"{os.environ['PATH']}:/usr/sbin"
_START_S = 30.0
_CONF = """\
ClusterName=test
SlurmctldHost=localhost(127.0.0.1)
SlurmctldPort={port}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=5
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool/%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/%n.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
MpiDefault=none
SwitchType=switch/none
ReturnToService=2
{nodes}
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
PartitionName=main Nodes=ALL Default=YES State=UP MaxTime=INFINITE PriorityTier=1 GraceTime=60
PartitionName=urgent Nodes=ALL State=UP MaxTime=INFINITE PriorityTier=2
"""


def obstacle() -> str:
    """Says why there can be no cluster here; empty if there can."""
    missing = [name for name in _DAEMONS if shutil.which(name, path=_SEARCHED) is None]
    return f"{', '.join(missing)} not installed (Debian: slurm-wlm munge)" if missing else ""


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """A running cluster.

    Attributes:
      folder: Its state and logs.
    """

    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        """The variables that Slurm's commands need."""
        return {**os.environ, "PATH": _SEARCHED, "SLURM_CONF": str(self.folder / "slurm.conf")}

    def call(self, *command: str, **options) -> str:
        """Runs one of Slurm's commands and returns what it prints."""
        done = subprocess.run(
            command, env=self.environment, capture_output=True, text=True, timeout=60, check=False, **options
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def state(self, job: str) -> str:
        """Returns the state of a job in Slurm's word, such as RUNNING."""
        return self._shown(job)["JobState"]

    def restarts(self, job: str) -> int:
        """Returns how often a job was queued again."""
        return int(self._shown(job)["Restarts"])

    def _shown(self, job: str) -> dict[str, str]:
        words = self.call("scontrol", "--oneliner", "show", "job", job).split()
        return dict(word.split("=", 1) for word in words if "=" in word)


@contextlib.contextmanager
def running(folder: Path) -> Iterator[Cluster]:
    """Starts a cluster, and ends every one of its processes."""
    for name in ("state", "spool"):
        (folder / name).mkdir(parents=True)
    ports = _free_ports(1 + len(NODES))
    nodes = [
        f"NodeName={name} NodeAddr=127.0.0.1 Port={port} CPUs=1 RealMemory=4000"
        for name, port in zip(NODES, ports[1:], strict=True)
    ]
    user = pwd.getpwuid(os.getuid()).pw_name
    conf = _CONF.format(port=ports[0], user=user, folder=folder, nodes="\n".join(nodes))
    (folder / "slurm.conf").write_text(conf)
    cluster = Cluster(folder=folder)
    with contextlib.ExitStack() as stack:
        for name, command in _daemons(folder).items():
            stack.enter_context(_daemon(command, cluster, log=folder / f"{name}.log"))
        _wait_until_idle(cluster)
        yield cluster


def _daemons(folder: Path) -> dict[str, list[str]]:
    key = folder / "munge.key"
    key.write_bytes(os.urandom(64))
    key.chmod(0o600)
    munge = [f"--{name}={folder}/munge.{name}" for name in ("socket", "pid-file", "log-file", "seed-file")]
    return {
        "munged": ["munged", "--foreground", "--force", f"--key-file={key}", *munge],
        "slurmctld": ["slurmctld", "-D"],
        **{name: ["slurmd", "-D", "-N", name] for name in NODES},
    }


@contextlib.contextmanager
def _daemon(command: list[str], cluster: Cluster, *, log: Path) -> Iterator[None]:
    with log.open("wb") as file:
        process = subprocess.Popen(command, env=cluster.environment, stdout=file, stderr=file)
        try:
            yield
        finally:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=10)
            process.kill()
            process.wait()


def _wait_until_idle(cluster: Cluster) -> None:
    deadline = time.monotonic() + _START_S
    while time.monotonic() < deadline:
        shown = subprocess.run(
            ["sinfo", "--noheader", "--format=%T"], env=cluster.environment, capture_output=True, text=True, check=False
        )
        if shown.stdout.strip() == "idle":
            return
        time.sleep(0.5)
    logs = "\n".join(path.read_text()[-1000:] for path in cluster.folder.glob("*.log"))
    raise AssertionError(f"the nodes did not become idle in {_START_S:.0f} s:\n{logs}")


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
