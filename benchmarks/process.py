"""The process that measures and the one of its peer: pinned to the same cores, with the same settings."""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

from benchmarks.timing import Seconds

ONEDNN = {"XLA_FLAGS": "--xla_cpu_use_onednn=true --xla_cpu_experimental_onednn_fusion_type=dot"}
"""Makes XLA:CPU use oneDNN's products: plain ones are faster, those with a transposed operand slower."""

HUGE_PAGES = {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}
"""Lets malloc ask for huge pages."""


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Declares what all benchmarks take."""
    parser.add_argument("--threads", type=int, default=1, help="cores to run on")
    parser.add_argument("--core", type=int, default=0, help="the first of them, counted among those allowed")
    parser.add_argument("--onednn", action="store_true", help="run with oneDNN's products")
    parser.add_argument("--huge_pages", action="store_true", help="run with huge pages, and the peer as well")
    parser.add_argument("--out", type=Path, help="JSON file to write")


def prepare(arguments: argparse.Namespace) -> None:
    """Pins this process, and starts it anew where its environment must differ; before JAX looks at either.

    OpenMP's threads wait without spinning: on a busy machine they would take the time of others, and of the peer.
    """
    allowed = sorted(os.sched_getaffinity(0))
    settings = {"OMP_WAIT_POLICY": "PASSIVE", "OMP_NUM_THREADS": str(arguments.threads)}
    if arguments.onednn:
        settings |= ONEDNN
    if arguments.huge_pages:
        settings |= HUGE_PAGES
    if any(os.environ.get(name) != value for name, value in settings.items()):
        os.execve(sys.executable, sys.orig_argv, os.environ | settings)
    # A process that a pinned one started is pinned already.
    if len(allowed) > arguments.threads:
        os.sched_setaffinity(0, allowed[arguments.core : arguments.core + arguments.threads])


class Peer:
    """A module of this folder in another interpreter; it answers every line with the seconds of a run, as JSON."""

    def __init__(self, python: Path, module: str, *arguments: object):
        # Its own settings for XLA would mean nothing to it; pinning and all others are inherited.
        self._process = subprocess.Popen(
            [python, "-m", module, *(str(argument) for argument in arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def seconds(self, kind: str) -> Seconds:
        """Runs one measurement.

        Raises:
          ChildProcessError: the peer has died; what it had to say is on standard error.
        """
        assert self._process.stdin is not None and self._process.stdout is not None, "piped above"
        self._process.stdin.write(kind + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise ChildProcessError(f"the peer ended while it measured {kind!r}")
        return json.loads(answer)

    def close(self) -> None:
        """Ends the process."""
        self._process.communicate()
