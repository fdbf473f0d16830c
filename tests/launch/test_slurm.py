"""A run on two nodes of a real Slurm: killed, preempted and queued again, it ends with the bits of an undisturbed one.

`python -m pytest -m full tests/launch/test_slurm.py`; it needs Debian's packages slurm-wlm and munge, and no network.
"""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from gauss_vit.train.checkpoint.reader import saved_steps
from tests.launch import cluster as clusters
from tests.launch.cluster import Cluster
from tests.launch.standins import ROOT
from tests.train.bits import trace_of

pytestmark = [
    pytest.mark.full,
    pytest.mark.skipif(bool(clusters.obstacle()), reason=clusters.obstacle() or "-"),
]

NUM_STEPS = 60
PATIENCE_SECONDS = 600
DIGITS = (
    "train",
    "--config=configs/digits_gauss.py",
    f"--config.training.num_steps={NUM_STEPS}",
    "--config.training.checkpoint_every=10",
    "--config.training.log_every=5",
    "--config.training.observe_images=0",
    "--config.evaluators[0].every=30",
)
ONE_DEVICE = {"JAX_PLATFORMS": "cpu", "JAX_NUM_CPU_DEVICES": "1"}
STANDIN = """
trap 'exit 143' TERM
echo "started with $*"
[ "$1" = stay ] && [ "${SLURM_RESTART_COUNT:-0}" = 0 ] || exit 0
sleep 1000 &
wait
"""
"""A program that says its arguments. With `stay` it goes on until SIGTERM, and ends when its job is queued again."""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with clusters.running(tmp_path_factory.mktemp("slurm")) as running:
        for folder, text in {"real": f'exec {sys.executable} -m gauss_vit.main "$@"', "standin": STANDIN}.items():
            program = running.folder / folder / "gauss-vit"
            program.parent.mkdir()
            program.write_text(f"#!/usr/bin/env bash\n{text}\n")
            program.chmod(0o755)
        yield running


def submit(cluster: Cluster, *flags: str, program: str, arguments: Sequence[str] = ("stay",)) -> str:
    """Submits a job as a user does, with one of the programs on the PATH, and returns its number."""
    environment = {**cluster.environment, **ONE_DEVICE}
    environment["PATH"] = f"{cluster.folder}/{program}:{environment['PATH']}"
    output = f"--output={cluster.folder}/%A.out"
    command = ["sbatch", "--parsable", "--nodes=2", "--mem=2000", output, *flags, "launch/slurm.sbatch", *arguments]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def train(cluster: Cluster, workdir: Path, *flags: str) -> str:
    return submit(cluster, *flags, program="real", arguments=(*DIGITS, f"--workdir={workdir}"))


def said(cluster: Cluster, job: str) -> str:
    path = cluster.folder / f"{job.partition('_')[0]}.out"
    return path.read_text(errors="replace") if path.exists() else ""


def wait_until(cluster: Cluster, job: str, is_so, what: str) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not is_so():
        assert time.monotonic() < deadline, f"waited for {what}:\n{said(cluster, job)[-4000:]}"
        assert cluster.state(job) not in ("FAILED", "CANCELLED"), said(cluster, job)[-4000:]
        time.sleep(0.05)


def wait_until_saved(cluster: Cluster, job: str, workdir: Path, step: int) -> None:
    wait_until(cluster, job, lambda: max(saved_steps(workdir), default=0) >= step, f"checkpoint {step}")


def finish(cluster: Cluster, job: str) -> str:
    wait_until(cluster, job, lambda: cluster.state(job) == "COMPLETED", "the end of the job")
    return said(cluster, job)


def process_on(cluster: Cluster, job: str, node: str) -> int:
    """Returns the process id of the training on a node."""
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            variables = path.read_bytes().split(b"\0")
            command = (path.parent / "cmdline").read_bytes()
        except OSError:
            continue
        wanted = {f"SLURM_JOB_ID={job}".encode(), f"SLURMD_NODENAME={node}".encode()}
        if wanted <= set(variables) and b"gauss_vit.main" in command:
            return int(path.parent.name)
    raise AssertionError(f"no process of job {job} on {node}")


@pytest.fixture(scope="module")
def undisturbed(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The workdir of a two-node run that was left alone."""
    workdir = tmp_path_factory.mktemp("undisturbed")
    finish(cluster, train(cluster, workdir))
    return workdir


def losses(workdir: Path) -> list[float]:
    entries = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    return [entry["loss"] for entry in entries if "loss" in entry]


def test_two_nodes_have_the_losses_of_one_process_with_as_many_devices(undisturbed: Path, tmp_path: Path):
    environment = {**os.environ, **ONE_DEVICE, "JAX_NUM_CPU_DEVICES": "2"}
    command = [sys.executable, "-m", "gauss_vit.main", *DIGITS, f"--workdir={tmp_path}"]
    subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True, timeout=PATIENCE_SECONDS)
    alone, together = losses(tmp_path), losses(undisturbed)
    assert len(alone) >= NUM_STEPS // 5
    assert together == pytest.approx(alone, abs=1e-5)


def test_a_run_that_is_killed_preempted_and_queued_again_ends_with_the_same_bits(
    cluster: Cluster, undisturbed: Path, tmp_path: Path
):
    job = train(cluster, tmp_path)
    wait_until_saved(cluster, job, tmp_path, 10)
    os.kill(process_on(cluster, job, clusters.NODES[1]), signal.SIGKILL)
    wait_until(cluster, job, lambda: cluster.restarts(job) == 1, "the job to be queued again after a kill")
    wait_until_saved(cluster, job, tmp_path, 30)
    cluster.call("scancel", "--signal=TERM", job)
    wait_until(cluster, job, lambda: cluster.restarts(job) == 2, "the job to be queued again after a preemption")
    text = finish(cluster, job)
    assert re.search(r"ended with status (6|134|137); job \d+ is queued again", text)
    assert re.search(r"ended with status 143; job \d+ is queued again", text)
    assert len(re.findall(r"resumed from step \d+ \(verified\)", text)) == 2
    assert trace_of(tmp_path) == trace_of(undisturbed)


def test_a_job_whose_time_is_up_is_queued_again(cluster: Cluster):
    job = submit(cluster, "--time=1", "--signal=TERM@50", program="standin")
    text = finish(cluster, job)
    assert "ended with status 143" in text
    assert cluster.restarts(job) == 1


def test_a_job_that_an_urgent_one_preempts_is_queued_again(cluster: Cluster):
    job = submit(cluster, program="standin")
    wait_until(cluster, job, lambda: said(cluster, job).count("started") == 2, "both processes")
    urgent = submit(cluster, "--partition=urgent", "--no-requeue", program="standin")
    wait_until(cluster, urgent, lambda: "started" in said(cluster, urgent), "the urgent job")
    assert cluster.restarts(job) == 1
    cluster.call("scancel", urgent)
    assert "ended with status 143" in finish(cluster, job)


def test_a_cancelled_job_is_not_queued_again(cluster: Cluster):
    job = submit(cluster, program="standin")
    wait_until(cluster, job, lambda: said(cluster, job).count("started") == 2, "both processes")
    cluster.call("scancel", job)
    deadline = time.monotonic() + PATIENCE_SECONDS
    while cluster.call("squeue", "--noheader", f"--jobs={job}", "--format=%T"):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    assert (cluster.state(job), cluster.restarts(job)) == ("CANCELLED", 0)


def test_a_study_is_one_run_a_task(cluster: Cluster):
    arguments = ("train", "--workdir=/my runs/{task}", "--config.seed={task}")
    study = submit(cluster, "--array=3,5", "--nodes=1", program="standin", arguments=arguments)
    for task in ("3", "5"):
        wait_until(cluster, study, lambda task=task: f"--config.seed={task}" in said(cluster, study), f"task {task}")
    text = said(cluster, study)
    assert "started with train --workdir=/my runs/3 --config.seed=3" in text
    assert "started with train --workdir=/my runs/5 --config.seed=5" in text


def test_a_study_as_an_array_has_the_rows_of_one_in_turn(cluster: Cluster, tmp_path: Path):
    study = ("study", "--config=tests/studies/tiny_study.py", "--config.training.observe_images=0")

    def in_turn(name: str) -> bytes:
        """Carries out what is left of a study on this machine, and returns its rows."""
        command = [sys.executable, "-m", "gauss_vit.main", *study, f"--workdir={tmp_path / name}"]
        environment = {**os.environ, **ONE_DEVICE}
        subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True, timeout=PATIENCE_SECONDS)
        return (tmp_path / name / "ledger.json").read_bytes()

    arguments = (*study, f"--workdir={tmp_path / 'array'}", "--run={task}")
    job = submit(cluster, "--array=0-3", "--nodes=1", program="real", arguments=arguments)
    wait_until(cluster, job, lambda: not cluster.call("squeue", "--noheader", "--jobs", job), "all tasks")
    assert [len(list((tmp_path / "array").glob(f"*/seed_{seed}/evaluation.json"))) for seed in (0, 5)] == [2, 2]
    assert not (tmp_path / "array" / "ledger.json").exists()
    assert in_turn("array") == in_turn("alone")
