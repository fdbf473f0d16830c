"""The process that measures and the one of its peer: pinned to the same cores, with the same settings."""

import argparse
import importlib.util
import json
import logging
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from benchmarks.timing import Seconds

ONEDNN = {"XLA_FLAGS": "--xla_cpu_use_onednn=true --xla_cpu_experimental_onednn_fusion_type=dot"}
"""Makes XLA:CPU use oneDNN's products: plain ones are faster, those with a transposed operand slower."""

HUGE_PAGES = {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}
"""Lets malloc ask for huge pages."""

SHARED_MEMORY = {"XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
"""Leaves to the peer what JAX would take of a GPU's memory at its start: three quarters."""

LISTS = {"XLA_FLAGS": " ", "GLIBC_TUNABLES": ":"}
"""Settings that are lists, and what separates their items."""

PLUGINS = ("jax_plugins", "libtpu")
ACCELERATORS = ("/dev/nvidiactl", "/dev/dxg", "/dev/kfd", "/dev/accel0", "/dev/vfio/0")
"""What JAX reaches accelerators by, and the files that stand for these."""


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Declares what all benchmarks take."""
    parser.add_argument("--threads", type=int, help="cores to run on: 1 where there is no accelerator, else all")
    parser.add_argument("--core", type=int, default=0, help="the first of them, counted among those allowed")
    parser.add_argument("--onednn", action="store_true", help="run with oneDNN's products")
    parser.add_argument("--huge_pages", action="store_true", help="run with huge pages, and the peer as well")
    parser.add_argument("--out", type=Path, help="JSON file to write")


def prepare(arguments: argparse.Namespace) -> None:
    """Pins this process, and starts it again where its environment must differ; before JAX looks at either.

    OpenMP's threads wait without spinning: on a busy machine they would take the time of others, and of the peer. What
    the package says in its log, such as which kernel gives way to which, goes to standard error.

    Args:
      arguments: parsed flags; `threads` is filled in where it was not given.
    """
    show_log()
    allowed = sorted(os.sched_getaffinity(0))
    if arguments.threads is None:
        arguments.threads = len(allowed) if expects_accelerator() else 1
    settings = {"OMP_WAIT_POLICY": "PASSIVE", "OMP_NUM_THREADS": str(arguments.threads), **SHARED_MEMORY}
    if arguments.onednn:
        settings |= ONEDNN
    if arguments.huge_pages:
        settings |= HUGE_PAGES
    settings = added(settings, os.environ)
    if any(os.environ.get(name) != value for name, value in settings.items()):
        os.execve(sys.executable, sys.orig_argv, os.environ | settings)
    # A process that a pinned one started is pinned already.
    if len(allowed) > arguments.threads:
        os.sched_setaffinity(0, allowed[arguments.core : arguments.core + arguments.threads])


def added(settings: Mapping[str, str], present: Mapping[str, str]) -> dict[str, str]:
    """Adds items to the lists that a user has set, behind those that are there; other settings replace the user's.

    >>> added({"XLA_FLAGS": "--b=1", "OMP_NUM_THREADS": "2"}, {"XLA_FLAGS": "--a=1", "OMP_NUM_THREADS": "8"})
    {'XLA_FLAGS': '--a=1 --b=1', 'OMP_NUM_THREADS': '2'}
    """
    result = dict(settings)
    for name in LISTS.keys() & settings.keys() & present.keys():
        items = [item for item in present[name].split(LISTS[name]) if item]
        missing = [item for item in settings[name].split(LISTS[name]) if item not in items]
        result[name] = LISTS[name].join([*items, *missing]) if missing else present[name]
    return result


def expects_accelerator() -> bool:
    """Says whether JAX will find an accelerator, without asking it: it would look at the cores of this process."""
    if os.environ.get("JAX_PLATFORMS", "").lower() == "cpu":
        return False
    has_plugin = any(importlib.util.find_spec(name) is not None for name in PLUGINS)
    return has_plugin and any(Path(place).exists() for place in ACCELERATORS)


def show_log() -> None:
    """Writes what the package logs to standard error, lines of information included, and each once."""
    logger = logging.getLogger("gauss_vit")
    logger.setLevel(logging.INFO)
    # Some library may set up the root logger.
    logger.propagate = False
    if not logger.handlers:
        logger.addHandler(logging.StreamHandler())


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
        return self._ask(kind)

    def versions(self) -> dict[str, str]:
        """Asks what it is made of: versions by package.

        Raises:
          ChildProcessError: the peer has died.
        """
        return self._ask("versions")

    def close(self) -> None:
        """Ends the process."""
        self._process.communicate()

    def _ask(self, line: str) -> dict:
        assert self._process.stdin is not None and self._process.stdout is not None, "piped above"
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise ChildProcessError(f"the peer ended while it measured {line!r}")
        return json.loads(answer)
