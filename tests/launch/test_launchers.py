"""The command lines that the launchers give to gcloud, xpk, kubectl and docker."""

import os
import shlex
import shutil
import subprocess

import pytest

from tests.launch import standins
from tests.launch.standins import ROOT

_TRAIN = ("train", "--config=configs/b16_gauss.py", "--config.data.data_dir=/my data/it's", "--workdir=/mnt/runs/b16")
_TYPED = shlex.join(_TRAIN).replace("'\"'\"'", "'\\''")
_CLEAN = "rm -rf gauss_vit/gauss_vit gauss_vit/configs && mkdir -p gauss_vit"
_FILES = "gauss_vit configs pyproject.toml constraints.txt README.md LICENSE"
_INSTALL = (
    "cd gauss_vit && python3 -m pip install --user --quiet uv"
    " && python3 -m uv venv --allow-existing --python=3.12 .venv"
    " && python3 -m uv pip install --python=.venv --constraint=constraints.txt"
    " --editable='.[tpu,digits,simd,tfds]' gcsfs"
)
_RUN = f"cd gauss_vit && echo $$ >run.pid && exec .venv/bin/gauss-vit {_TYPED}"
_STOP = "pkill -TERM --pidfile gauss_vit/run.pid --full gauss-vit"


def _command(text: str) -> str:
    """Quotes a line of shell as one flag, as POSIX shells read it."""
    return "'--command=" + text.replace("'", "'\\''") + "'"


_ASKED = ("--accelerator-type=v5litepod-16", "--runtime-version=v2-alpha-tpuv5-lite")
_VM = "gcloud compute tpus tpu-vm"
_HOSTS = "--zone=us-west4-a --worker=all --project=my-project"
_QUEUE = "gcloud compute tpus queued-resources"
_NODES = "--zone=us-west4-a --node=all --worker=all --project=my-project"
_CALLS: dict[tuple[str, ...], list[str]] = {
    ("tpu_vm.sh", "create", "vit", "us-west4-a", "--accelerator-type=v5litepod-16", "--version=v2-alpha-tpuv5-lite"): [
        f"{_VM} create vit --zone=us-west4-a --accelerator-type=v5litepod-16 --version=v2-alpha-tpuv5-lite"
    ],
    ("tpu_vm.sh", "install", "vit", "us-west4-a", "--project=my-project"): [
        f"{_VM} ssh vit {_HOSTS} {_command(_CLEAN)}",
        f"{_VM} scp {_FILES} vit:gauss_vit/ --recurse {_HOSTS}",
        f"{_VM} ssh vit {_HOSTS} {_command(_INSTALL)}",
    ],
    ("tpu_vm.sh", "run", "vit", "us-west4-a", "--project=my-project", "--", *_TRAIN): [
        f"{_VM} ssh vit {_HOSTS} {_command(_RUN)}"
    ],
    ("tpu_vm.sh", "stop", "vit", "us-west4-a", "--project=my-project"): [f"{_VM} ssh vit {_HOSTS} {_command(_STOP)}"],
    ("tpu_vm.sh", "delete", "my vit", "us-west4-a"): [f"{_VM} delete 'my vit' --zone=us-west4-a"],
    ("queued_resource.sh", "create", "vit", "us-west4-a", *_ASKED, "--spot"): [
        f"{_QUEUE} create vit --zone=us-west4-a --node-id=vit {shlex.join(_ASKED)} --spot"
    ],
    ("queued_resource.sh", "create", "vit", "us-west4-a", *_ASKED, "--node-count=2"): [
        f"{_QUEUE} create vit --zone=us-west4-a {shlex.join(_ASKED)} --node-count=2"
    ],
    ("queued_resource.sh", "install", "vit", "us-west4-a", "--project=my-project"): [
        f"{_QUEUE} ssh vit {_NODES} {_command(_CLEAN)}",
        f"{_QUEUE} scp {_FILES} vit:gauss_vit/ --recurse {_NODES}",
        f"{_QUEUE} ssh vit {_NODES} {_command(_INSTALL)}",
    ],
    ("queued_resource.sh", "run", "vit", "us-west4-a", "--project=my-project", "--", *_TRAIN): [
        f"{_QUEUE} ssh vit {_NODES} {_command(_RUN)}"
    ],
    ("queued_resource.sh", "stop", "vit", "us-west4-a", "--project=my-project"): [
        f"{_QUEUE} ssh vit {_NODES} {_command(_STOP)}"
    ],
    ("queued_resource.sh", "delete", "vit", "us-west4-a", "--force"): [
        f"{_QUEUE} delete vit --zone=us-west4-a --force"
    ],
    ("xpk.sh", "image", "pkg.dev/p/gauss_vit:1"): [
        "docker build --platform=linux/amd64 --file=launch/Dockerfile.tpu --tag=pkg.dev/p/gauss_vit:1 .",
        "docker push pkg.dev/p/gauss_vit:1",
    ],
    ("xpk.sh", "run", "b16", "pkg.dev/p/gauss_vit:1", "--cluster=pods", "--tpu-type=v5litepod-16", "--", *_TRAIN): [
        "xpk workload create --workload=b16 --docker-image=pkg.dev/p/gauss_vit:1 --max-restarts=50"
        " --restart-on-exit-codes=6 --termination-grace-period-seconds=120 --cluster=pods --tpu-type=v5litepod-16"
        f" {_command(f'exec gauss-vit {_TYPED}')}"
    ],
    ("xpk.sh", "logs", "b16", "--namespace=mine"): [
        "kubectl logs --follow --prefix --max-log-requests=256 --selector=xpk.google.com/workload=b16 --namespace=mine"
    ],
    ("xpk.sh", "delete", "b16", "--cluster=pods"): ["xpk workload delete --workload=b16 --cluster=pods"],
}
_NAMES = [" ".join(words[:2]) for words in _CALLS]


@pytest.fixture
def tools(tmp_path):
    return standins.only(tmp_path / "programs", "gcloud", "xpk", "kubectl", "docker")


@pytest.mark.parametrize(("words", "expected"), _CALLS.items(), ids=_NAMES)
def test_each_step_calls_exactly_these_commands(tools, words, expected):
    done = tools.launch(f"launch/{words[0]}", *words[1:])
    assert (done.returncode, done.stderr) == (0, "")
    assert tools.calls() == [shlex.split(line) for line in expected]


@pytest.mark.parametrize(("words", "expected"), _CALLS.items(), ids=_NAMES)
def test_a_dry_run_prints_the_same_commands_and_calls_nothing(tmp_path, words, expected):
    nothing = standins.only(tmp_path / "programs")
    done = nothing.launch(f"launch/{words[0]}", "--dry-run", *words[1:])
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == expected


def test_arguments_reach_the_program_of_a_host_as_they_were_typed(tools, tmp_path):
    """They go through the launcher's shell and the host's."""
    home = tmp_path / "home"
    (home / "gauss_vit" / ".venv" / "bin").mkdir(parents=True)
    program = standins.Standins(folder=home / "gauss_vit" / ".venv" / "bin")
    program.add("gauss-vit")
    tools.launch("launch/tpu_vm.sh", "run", "vit", "z", "--", *_TRAIN)
    command = tools.calls()[0][-1].removeprefix("--command=")
    subprocess.run(["bash", "-c", command], cwd=home, check=True)
    assert program.calls() == [["gauss-vit", *_TRAIN]]
    assert (home / "gauss_vit" / "run.pid").read_text().strip().isdigit()


@pytest.mark.parametrize(
    ("words", "missing"),
    [
        (("tpu_vm.sh", "stop", "vit", "z"), "gcloud"),
        (("queued_resource.sh", "wait", "vit", "z"), "gcloud"),
        (("xpk.sh", "image", "i"), "docker"),
        (("xpk.sh", "run", "w", "i", "--", "train"), "xpk"),
        (("xpk.sh", "logs", "w"), "kubectl"),
        (("xpk.sh", "delete", "w"), "xpk"),
    ],
)
def test_a_missing_tool_is_one_line(tmp_path, words, missing):
    done = standins.only(tmp_path / "programs").launch(f"launch/{words[0]}", *words[1:])
    assert done.returncode == 2
    assert done.stderr.startswith(f"launch/{words[0]}: {missing} is not installed. DO: see https://")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("tpu_vm.sh",), "a step, a name and a zone are needed"),
        (("tpu_vm.sh", "start", "vit", "z"), "there is no step start"),
        (("tpu_vm.sh", "run", "vit", "z"), "run was given nothing to run"),
        (("queued_resource.sh", "begin", "vit", "z"), "there is no step begin"),
        (("queued_resource.sh", "run", "vit", "z", "--"), "run was given nothing to run"),
        (("xpk.sh", "run", "w", "--cluster=c"), "run needs the image after the workload's name"),
        (("xpk.sh", "run", "w", "i", "--cluster=c"), "run was given nothing to run"),
        (("xpk.sh", "build", "i"), "there is no step build"),
    ],
)
def test_a_wrong_call_is_one_line_and_calls_nothing(tools, words, message):
    done = tools.launch(f"launch/{words[0]}", *words[1:])
    assert done.returncode == 2
    assert done.stderr.startswith(f"launch/{words[0]}: {message}. DO: ")
    assert done.stderr.count("\n") == 1
    assert tools.calls() == []


def test_a_failing_step_ends_the_launcher_with_its_status(tools):
    tools.add("gcloud", answer="exit 9")
    done = tools.launch("launch/tpu_vm.sh", "install", "vit", "z")
    assert done.returncode == 9
    assert len(tools.calls()) == 1


def test_waiting_ends_when_the_tpus_are_active(tools, tmp_path):
    states = tmp_path / "states"
    states.write_text("WAITING_FOR_RESOURCES\nPROVISIONING\nACTIVE\n")
    next_state = f"{{ read -r state; echo $state; mapfile rest; }} <{states}; printf '%s' \"${{rest[@]}}\" >{states}"
    tools.add("gcloud", answer=next_state)
    done = tools.launch("launch/queued_resource.sh", "wait", "vit", "z", variables=[("POLL_SECONDS", "0")])
    assert done.returncode == 0
    assert done.stderr.splitlines() == ["vit is WAITING_FOR_RESOURCES", "vit is PROVISIONING", "vit is ACTIVE"]
    assert tools.calls() == [shlex.split(f"{_QUEUE} describe vit --zone=z '--format=value(state.state)'")] * 3


def test_waiting_for_what_was_preempted_says_how_to_ask_again(tools):
    tools.add("gcloud", answer="echo SUSPENDED")
    done = tools.launch("launch/queued_resource.sh", "wait", "vit", "z")
    assert done.returncode == 2
    remedy = "launch/queued_resource.sh delete vit z --force, then create it"
    assert done.stderr.splitlines()[-1] == f"launch/queued_resource.sh: vit is SUSPENDED. DO: {remedy}"


@pytest.mark.parametrize("name", ["tpu_vm.sh", "queued_resource.sh", "xpk.sh", "slurm.sbatch"])
def test_the_examples_in_the_head_of_a_launcher_are_valid(tmp_path, name):
    lines = (ROOT / "launch" / name).read_text().split("\nset -")[0].splitlines()
    text = "\n".join(line.removeprefix("#").strip() for line in lines).replace("\\\n", "")
    examples = [line for line in text.splitlines() if f"launch/{name} " in line and " --" in line]
    nothing = standins.only(tmp_path / "programs")
    assert examples
    for example in examples:
        words = shlex.split(example[example.index(f"launch/{name}") :])
        done = nothing.launch("bash", words[0], "--dry-run", *words[1:])
        assert (done.returncode, done.stderr) == (0, ""), example


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="shellcheck is not installed")
def test_shellcheck_finds_nothing():
    scripts = [str(path.relative_to(ROOT)) for path in sorted((ROOT / "launch").glob("*.s*"))]
    assert len(scripts) == 6
    done = standins.run(["shellcheck", "--external-sources", "--source-path=.", *scripts], environment=dict(os.environ))
    assert done.stdout == ""
