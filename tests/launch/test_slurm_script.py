"""The batch script for Slurm: what it calls, and when the job is queued again."""

import shlex

import pytest

from tests.launch import standins
from tests.launch.standins import ROOT

_SCRIPT = ("bash", "launch/slurm.sbatch")
_TRAIN = ("train", "--config=configs/b16_gauss.py", "--config.data.data_dir=/my data/it's", "--workdir=/runs/b16")
_REQUEUE = ["scontrol", "requeue", "17"]


@pytest.fixture
def slurm(tmp_path):
    return standins.only(tmp_path / "programs", "scontrol", "gauss-vit")


def _submit(slurm, status, *, restarts=0, state="RUNNING"):
    """Runs the script where srun ends with a status, and returns what is called besides asking for the job's state."""
    slurm.add("srun", answer=f"exit {status}")
    slurm.add("squeue", answer=f"echo {state}")
    variables = [("SLURM_JOB_ID", "17"), ("SLURM_RESTART_COUNT", str(restarts))]
    done = slurm.launch(*_SCRIPT, *_TRAIN, variables=variables)
    assert done.returncode == status, done.stderr
    return [call for call in slurm.calls() if call[0] != "squeue"]


def test_srun_gets_the_arguments_as_they_were_typed(slurm):
    assert _submit(slurm, 0) == [["srun", "--label", "--wait=120", "gauss-vit", *_TRAIN]]


@pytest.mark.parametrize("status", [1, 2, 3, 4, 5, 7, 8])
def test_a_job_that_cannot_go_on_ends(slurm, status):
    assert _REQUEUE not in _submit(slurm, status)


@pytest.mark.parametrize("restarts", [0, 100])
@pytest.mark.parametrize("state", ["RUNNING", "SIGNALING"])
def test_a_job_that_saved_and_stopped_is_queued_again(slurm, restarts, state):
    assert _submit(slurm, 143, restarts=restarts, state=state)[-1] == _REQUEUE


@pytest.mark.parametrize("status", [6, 134, 137])
def test_a_job_that_lost_a_process_is_queued_again_ten_times_at_most(slurm, status):
    assert _submit(slurm, status, restarts=9)[-1] == _REQUEUE
    assert _submit(slurm, status, restarts=10)[-1] != _REQUEUE


def test_a_job_that_was_cancelled_stays_ended(slurm):
    assert _REQUEUE not in _submit(slurm, 143, state="COMPLETING")


def test_a_task_of_a_study_has_its_number_in_its_arguments(tmp_path):
    nothing = standins.only(tmp_path / "programs")
    variables = [("SLURM_ARRAY_TASK_ID", "3"), ("SLURM_CPUS_PER_TASK", "4")]
    words = ("train", "--workdir=/my runs/{task}", "--config.seed={task}")
    done = nothing.launch(*_SCRIPT, "--dry-run", *words, variables=variables)
    assert done.stderr == ""
    expected = "srun --label --wait=120 --cpus-per-task=4 gauss-vit train '--workdir=/my runs/3' --config.seed=3"
    assert shlex.split(done.stdout) == shlex.split(expected)


@pytest.mark.parametrize("missing", ["srun", "squeue", "scontrol", "gauss-vit"])
def test_a_missing_program_is_one_line(tmp_path, missing):
    present = [name for name in ("srun", "squeue", "scontrol", "gauss-vit") if name != missing]
    done = standins.only(tmp_path / "programs", *present).launch(*_SCRIPT, *_TRAIN)
    assert done.returncode == 2
    assert done.stderr.startswith(f"launch/slurm.sbatch: {missing} is not installed here. DO: ")
    assert done.stderr.count("\n") == 1


def test_no_arguments_is_one_line(slurm):
    done = slurm.launch(*_SCRIPT)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)


def test_the_job_asks_for_what_a_resumed_run_needs():
    directives = {line for line in (ROOT / "launch/slurm.sbatch").read_text().splitlines() if line[:7] == "#SBATCH"}
    assert {"#SBATCH --requeue", "#SBATCH --open-mode=append", "#SBATCH --signal=TERM@120"} <= directives
