"""Who the processes of a run are, and the platform that is asked for."""

import contextlib
import sys
import threading
from pathlib import Path

import jax
import pytest

from gauss_vit import main as program
from gauss_vit.distributed import start
from gauss_vit.distributed.start import Peers
from gauss_vit.errors import ConfigError

SLURM = {
    "SLURM_JOB_ID": "4242",
    "SLURM_STEP_NODELIST": "n[1-2],other",
    "SLURM_NTASKS": "2",
    "SLURM_PROCID": "1",
    "SLURM_LOCALID": "0",
}
OPEN_MPI = {
    "OMPI_MCA_orte_hnp_uri": "1531576320.0;tcp://10.96.0.1,10.148.0.1:34911",
    "OMPI_COMM_WORLD_SIZE": "4",
    "OMPI_COMM_WORLD_RANK": "3",
    "OMPI_COMM_WORLD_LOCAL_RANK": "1",
}
_OPENED: list[str] = []
_WATCHED = [False]


@pytest.fixture
def opened():
    """The names of the audit events of sockets within a test. A hook of Python cannot be removed."""

    def note(event: str, arguments: tuple) -> None:
        if _WATCHED[0] and event in ("socket.bind", "socket.connect", "socket.getaddrinfo"):
            _OPENED.append(f"{event} {arguments[1:]}")

    if not _OPENED and not _WATCHED[0]:
        sys.addaudithook(note)
    _OPENED.clear()
    _WATCHED[0] = True
    yield _OPENED
    _WATCHED[0] = False


def num_sockets() -> int:
    """How many sockets this process holds, of C++ as well."""
    links = []
    for path in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            links.append(str(path.readlink()))
    return sum(link.startswith("socket:") for link in links)


def test_a_run_on_a_laptop_opens_no_socket(opened: list[str], workdir):
    before = num_sockets()
    assert program.main(["evaluate", f"--workdir={workdir}"]) == 0
    assert opened == []
    assert num_sockets() == before


def test_without_a_cluster_there_is_one_process():
    assert start.find("auto", limit=1.0) is None
    assert start.find("off", limit=1.0) is None


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        (SLURM, Peers(host="n1", port=61440 + 4242 - 4096, count=2, index=1, local_devices=(0,))),
        (OPEN_MPI, Peers(host="10.96.0.1", port=61440 + 373920 % 4096, count=4, index=3, local_devices=(1,))),
        (SLURM | {"SLURM_NTASKS": "1", "SLURM_PROCID": "0"}, None),
        ({"SLURM_JOB_ID": "4242", "SLURM_NTASKS": "2"}, None),
    ],
    ids=["slurm", "open_mpi", "one_task", "outside_of_srun"],
)
def test_processes_are_those_of_the_launcher(monkeypatch: pytest.MonkeyPatch, variables: dict, expected: Peers | None):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert start.find("auto", limit=1.0) == expected
    assert start.find("off", limit=1.0) is None


def test_a_cluster_that_cannot_be_read_is_an_error_and_no_single_process(monkeypatch: pytest.MonkeyPatch):
    for name, value in (SLURM | {"SLURM_NTASKS": "two"}).items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError, match="this looks like a cluster"):
        start.find("auto", limit=1.0)


def test_an_address_may_be_of_the_sixth_version():
    peers = start.parse("[fe80::1]:8476,2,1")
    assert (peers.host, peers.port, peers.address) == ("fe80::1", 8476, "[fe80::1]:8476")


@pytest.mark.parametrize(
    "choice",
    [
        "on",
        "",
        "host,2,0",
        "host:80,2",
        "host:80,2,2",
        "host:80,0,0",
        "host:0,2,0",
        "host:80,2,-1",
        ":80,2,0",
        "h:٣,2,0",
    ],
)
def test_a_wrong_choice_is_explained(choice: str, capsys: pytest.CaptureFixture[str]):
    assert program.main(["evaluate", "--workdir=W", f"--distributed={choice}"]) == 2
    assert "--distributed must be auto, off or COORDINATOR,N,I" in capsys.readouterr().err


def test_a_start_that_never_completes_ends_without_a_word_to_the_others(monkeypatch: pytest.MonkeyPatch):
    def end(status: int) -> None:
        raise SystemExit(status)

    monkeypatch.setattr(start.processes, "count", lambda: 2)
    monkeypatch.setattr(start.os, "_exit", end)
    is_over = threading.Event()
    with pytest.raises(TimeoutError):
        start._within(0.1, is_over.wait)
    try:
        with pytest.raises(SystemExit, match="6"):
            start.leave(6)
    finally:
        is_over.set()


def test_an_accelerator_that_is_asked_for_and_missing_is_an_error():
    start.start("off", platform="any")
    start.start("off", platform=jax.default_backend())
    with pytest.raises(ConfigError, match=r"platform is tpu, and the devices that JAX finds on .* are cpu") as caught:
        start.start("off", platform="tpu")
    assert caught.value.code == "PLATFORM"
    assert "--config.platform=any" in caught.value.do
