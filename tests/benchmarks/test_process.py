"""What a benchmark sets up before JAX looks at its process, and what it asks of its peer."""

import argparse
import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import process

ECHO = """
import json, sys
for line in sys.stdin:
    if line.strip() == "dies":
        break
    print(json.dumps({"torch": "2"} if line.strip() == "versions" else {"wall": 1.0, "cpu": 0.5}), flush=True)
"""


class StartedError(Exception):
    """The process would be another one now."""


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch):
    """Eight cores; records what the process is pinned to, and with which environment it would start anew."""
    seen = {}

    def start(path, words, environment):
        seen["environment"] = environment
        raise StartedError

    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)))
    monkeypatch.setattr(os, "sched_setaffinity", lambda pid, cores: seen.update(cores=list(cores)))
    monkeypatch.setattr(os, "execve", start)
    monkeypatch.setattr(process, "show_log", lambda: None)
    return seen


def options(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    process.add_flags(parser)
    return parser.parse_args(words)


def prepared(arguments: argparse.Namespace, seen: dict, monkeypatch: pytest.MonkeyPatch) -> None:
    """Prepares, and once more as the process that is started."""
    with pytest.raises(StartedError):
        process.prepare(arguments)
    for name, value in seen["environment"].items():
        monkeypatch.setenv(name, value)
    process.prepare(arguments)


@pytest.mark.parametrize(
    ("words", "has_accelerator", "cores", "threads"),
    [
        ((), False, [0], 1),
        (("--core=2",), False, [2], 1),
        (("--threads=2",), False, [0, 1], 2),
        ((), True, None, 8),
        (("--threads=2", "--core=4"), True, [4, 5], 2),
    ],
)
def test_only_without_an_accelerator_is_one_core_the_default(
    machine, monkeypatch, words, has_accelerator, cores, threads
):
    monkeypatch.setattr(process, "expects_accelerator", lambda: has_accelerator)
    arguments = options(*words)
    prepared(arguments, machine, monkeypatch)
    assert (arguments.threads, machine.get("cores")) == (threads, cores)


def test_flags_of_xla_come_behind_the_users_and_the_peers_memory_is_left(machine, monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", "--xla_of_mine=1")
    prepared(options("--onednn", "--huge_pages", "--threads=1"), machine, monkeypatch)
    assert machine["environment"]["XLA_FLAGS"] == f"--xla_of_mine=1 {process.ONEDNN['XLA_FLAGS']}"
    assert machine["environment"]["XLA_PYTHON_CLIENT_PREALLOCATE"] == "false"


def test_lists_grow_by_what_is_missing_alone():
    present = {"XLA_FLAGS": "--b=1 --a=1", "GLIBC_TUNABLES": "x=1"}
    settings = {"XLA_FLAGS": "--a=1 --b=1", "GLIBC_TUNABLES": "y=2"}
    assert process.added(settings, present) == {"XLA_FLAGS": "--b=1 --a=1", "GLIBC_TUNABLES": "x=1:y=2"}
    assert process.added(settings, {"XLA_FLAGS": ""})["XLA_FLAGS"] == "--a=1 --b=1"


@pytest.mark.parametrize(
    ("platforms", "has_plugin", "has_device", "expected"),
    [
        ("", True, True, True),
        ("cpu", True, True, False),
        ("cuda", True, True, True),
        ("", False, True, False),
        ("", True, False, False),
    ],
)
def test_an_accelerator_is_a_plugin_and_a_device(
    monkeypatch, tmp_path: Path, platforms, has_plugin, has_device, expected
):
    monkeypatch.setenv("JAX_PLATFORMS", platforms)
    monkeypatch.setattr(process, "PLUGINS", ("json",) if has_plugin else ("no_such_plugin",))
    monkeypatch.setattr(process, "ACCELERATORS", (str(tmp_path / ("" if has_device else "none")),))
    assert process.expects_accelerator() == expected


def test_what_the_package_logs_is_seen(monkeypatch, capfd):
    logger = logging.getLogger("gauss_vit")
    monkeypatch.setattr(logger, "handlers", [])
    monkeypatch.setattr(logger, "level", logger.level)
    monkeypatch.setattr(logger, "propagate", True)
    monkeypatch.setattr(logging.getLogger(), "handlers", [logging.StreamHandler()])
    process.show_log()
    process.show_log()
    logging.getLogger("gauss_vit.assembly.device").info("einsum instead of cudnn")
    assert capfd.readouterr().err.count("einsum instead of cudnn") == 1


def test_a_peer_answers_with_seconds_and_versions_and_its_end_is_noticed(monkeypatch, tmp_path: Path):
    (tmp_path / "echo.py").write_text(ECHO)
    monkeypatch.chdir(tmp_path)
    peer = process.Peer(Path(sys.executable), "echo")
    assert peer.seconds("crop") == {"wall": 1.0, "cpu": 0.5}
    assert peer.versions() == {"torch": "2"}
    with pytest.raises(ChildProcessError, match="dies"):
        peer.seconds("dies")
    peer.close()


TORCH = """
import types
version = types.SimpleNamespace(cuda={cuda!r})
__version__ = "2"
cuda = types.SimpleNamespace(is_available=lambda: False)
device = lambda name: types.SimpleNamespace(type=name)
declared = []
class Library:
    def __init__(self, name, kind):
        assert (name, kind) == ("torchvision", "DEF")
    def define(self, schema):
        assert {is_broken}, "it aborts where torchvision brings its own operators"
        declared.append(schema.partition("(")[0])
library = types.SimpleNamespace(Library=Library)
"""

TORCHVISION = """
import torch
if {is_broken} and "nms" not in torch.declared:
    raise RuntimeError("operator torchvision::nms does not exist")
__version__ = "0"
"""


@pytest.mark.parametrize(
    ("cuda", "is_broken", "loads"), [(None, True, True), (None, False, True), ("13", False, True), ("13", True, False)]
)
def test_operators_of_torchvision_are_declared_only_where_it_lacks_them(tmp_path: Path, cuda, is_broken, loads):
    (tmp_path / "torch.py").write_text(TORCH.format(cuda=cuda, is_broken=is_broken))
    (tmp_path / "torchvision.py").write_text(TORCHVISION.format(is_broken=is_broken))
    root = Path(__file__).parents[2]
    result = subprocess.run(
        [sys.executable, "-c", "from benchmarks import torch_peer; import torch; print(torch.declared)"],
        env=os.environ | {"PYTHONPATH": f"{tmp_path}:{root}"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (result.returncode == 0) == loads, result.stderr
    if loads:
        assert result.stdout.strip() == ("['nms', 'qnms']" if is_broken else "[]")
