"""Several processes of one command on this machine's loopback interface, with their outputs and statuses."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[1]
PROGRAM = (sys.executable, "-m", "gauss_vit.main")


@dataclass(frozen=True, kw_only=True)
class Ended:
    """A process that has ended.

    Attributes:
      status: exit status; the negative number of the signal that killed it.
      out: standard output.
      err: standard error.
      seconds: from the start of all processes to its end.
    """

    status: int
    out: str
    err: str
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Processes:
    """The processes of one run, which have been started.

    Attributes:
      processes: by their numbers.
      folder: where their outputs go.
      start: monotonic seconds at which they were started.
    """

    processes: list[subprocess.Popen[bytes]]
    folder: Path
    start: float = field(default_factory=time.monotonic)

    def signal(self, index: int, number: signal.Signals) -> None:
        """Sends a signal to one of them."""
        self.processes[index].send_signal(number)

    def said(self, index: int) -> str:
        """Standard error of one of them so far."""
        return (self.folder / f"{index}.err").read_text(encoding="utf-8", errors="replace")

    def wait_until_said(self, index: int, text: str, *, limit: float = 60.0) -> None:
        """Waits until a text is on the standard error of one of them."""
        deadline = time.monotonic() + limit
        while text not in self.said(index):
            assert time.monotonic() < deadline, f"process {index} did not say {text!r}:\n{self.said(index)[-2000:]}"
            assert self.processes[index].poll() is None, f"process {index} ended:\n{self.said(index)[-2000:]}"
            time.sleep(0.02)

    def wait(self, *, limit: float = 120.0) -> list[Ended]:
        """Waits until all have ended, which they must within the limit, in seconds from their start."""
        ended: dict[int, float] = {}
        while len(ended) < len(self.processes):
            for index, process in enumerate(self.processes):
                if index not in ended and process.poll() is not None:
                    ended[index] = time.monotonic() - self.start
            running = sorted(set(range(len(self.processes))) - ended.keys())
            assert time.monotonic() < self.start + limit or not running, (
                f"running after {limit:.0f} s: {running}\n" + "\n".join(self.said(index)[-2000:] for index in running)
            )
            time.sleep(0.02)
        return [
            Ended(
                status=process.returncode,
                out=(self.folder / f"{index}.out").read_text(encoding="utf-8", errors="replace"),
                err=self.said(index),
                seconds=ended[index],
            )
            for index, process in enumerate(self.processes)
        ]


@contextlib.contextmanager
def started(
    commands: Sequence[Sequence[str]], folder: Path, *, environment: Mapping[str, str] | None = None
) -> Iterator[Processes]:
    """Starts one process for each command; whatever is left of them, and of what they started, is killed at the end.

    Args:
      commands: the commands, by the number of the process.
      folder: for their outputs; made if it is missing.
      environment: variables besides those of this process.
    """
    folder.mkdir(parents=True, exist_ok=True)
    running: list[subprocess.Popen[bytes]] = []
    try:
        for index, command in enumerate(commands):
            with (folder / f"{index}.out").open("wb") as out, (folder / f"{index}.err").open("wb") as err:
                running.append(
                    subprocess.Popen(
                        command,
                        cwd=ROOT,
                        env={**os.environ, **(environment or {})},
                        stdin=subprocess.DEVNULL,
                        stdout=out,
                        stderr=err,
                        start_new_session=True,
                    )
                )
        yield Processes(processes=running, folder=folder)
    finally:
        for process in running:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def program(arguments: Sequence[str], *, count: int, port: int | None = None) -> list[list[str]]:
    """The command lines of `gauss-vit` on so many processes.

    Args:
      arguments: verb and flags, without `--distributed`.
      count: number of processes.
      port: of the coordinator; a free one by default.
    """
    address = f"127.0.0.1:{free_port() if port is None else port}"
    return [[*PROGRAM, *arguments, f"--distributed={address},{count},{index}"] for index in range(count)]


def run(
    arguments: Sequence[str], folder: Path, *, count: int, devices: int, limit: float = 120.0, **environment: str
) -> list[Ended]:
    """Runs `gauss-vit` on so many processes, with so many devices in all, to their ends.

    Args:
      arguments: verb and flags.
      folder: for their outputs.
      count: number of processes; with 1 there are no others to join.
      devices: number of devices of all processes together.
      limit: seconds within which all must end.
      environment: further variables.
    """
    commands = [[*PROGRAM, *arguments, "--distributed=off"]] if count == 1 else program(arguments, count=count)
    with started(commands, folder, environment=simulated(devices // count) | environment) as processes:
        return processes.wait(limit=limit)


def simulated(devices: int) -> dict[str, str]:
    """The variables that give a process so many CPU devices."""
    return {"JAX_PLATFORMS": "cpu", "JAX_NUM_CPU_DEVICES": str(devices)}


def free_port() -> int:
    """A port on which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
