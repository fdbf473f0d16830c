"""The command line: exit statuses, the one line that explains, and how fast a mistake is answered."""

import importlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
from jax.errors import JaxRuntimeError

import gauss_vit
from gauss_vit import main as program

CONFIG = "--config=tests/tiny_config.py"
BARE_ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("COV")}


def answer(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, list[str]]:
    """The exit status and the lines on standard error."""
    status = program.main(arguments)
    return status, capsys.readouterr().err.splitlines()


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (
            ["show", CONFIG, "--config.model.dpeth=3"],
            "error[CONFIG]: unknown key model.dpeth; did you mean model.depth",
        ),
        (["show", CONFIG, "--config.lr=3"], "error[CONFIG]: unknown key lr"),
        (
            ["show", CONFIG, "--config.training.batch_size=8.5"],
            "error[CONFIG]: training.batch_size must be an integer, got 8.5",
        ),
        (["show", CONFIG, "--config.model.num_heads=3"], "[CONFIG]: model.width 16 is not divisible by num_heads 3"),
        (["show", "--config=none.py"], "error[CONFIG]: config file none.py does not exist. DO: "),
        (
            ["show", CONFIG, "--learning_rate=3"],
            "--learning_rate. DO: write a key of the config as --config.KEY=VALUE",
        ),
        (["show", CONFIG, "--mseh=3"], "error[USAGE]: unknown flag --mseh; did you mean --mesh?"),
        (["show", CONFIG, "--mesh=0"], "error[CONFIG]: --mesh: the number of devices must be an integer >= 1, got '0'"),
        (
            ["show", CONFIG, "--mesh=abc"],
            "error[CONFIG]: --mesh: the number of devices must be an integer >= 1, got 'abc'",
        ),
        (["erf", "--dtype=float16"], "error[USAGE]: --dtype must be float32, bfloat16 or auto, got 'float16'"),
        (["evaluate", "--crop=1.5"], "error[USAGE]: --crop must be a number from 0 to 1, got '1.5'"),
        (["probe", "--penalty=0"], "error[USAGE]: --penalty must be a number from 1e-06 to 1e+12, got '0'"),
        (["probe", "--penalty=inf"], "error[USAGE]: --penalty must be a number from 1e-06 to 1e+12, got 'inf'"),
        (["evaluate", "--bset"], "error[USAGE]: unknown flag --bset; did you mean --best?"),
        (["movie", "--config=F"], "error[USAGE]: movie takes no config. DO: leave --config out"),
        (["movie", "--config.seed=3"], "error[USAGE]: movie takes no config. DO: leave --config.seed out"),
        (["erf", "--learning_rate=3", "--config=F"], "error[USAGE]: unknown flag --learning_rate"),
        (["show", CONFIG, "--mesh"], "error[USAGE]: Missing value for flag --mesh"),
        (["show", CONFIG, CONFIG], "error[USAGE]: --config is given 2 times"),
        (["show", CONFIG, "--mesh=2", "--mesh=4"], "error[USAGE]: --mesh is given 2 times"),
        (["show", CONFIG, "--config.seed=2", "--config.seed=4"], "error[USAGE]: --config.seed is given 2 times"),
        (["show", "--config"], "error[USAGE]: Missing value for flag --config"),
        (["show", "--config.seed=2"], "error[USAGE]: --config.seed needs a config to change"),
        (["show"], "error[CONFIG]: show needs --config. DO: "),
        (["train", CONFIG], "error[CONFIG]: train needs --workdir. DO: add --workdir=DIR, or --smoke to try it"),
        (["evaluate"], "error[CONFIG]: evaluate needs --workdir. DO: "),
        (["evaluate", "--workdir=/nonexistent"], "error[CONFIG]: /nonexistent does not contain a run"),
        (["shwo"], "error[USAGE]: unknown verb 'shwo'; did you mean show?"),
        (["--workdir=W", "erf"], "error[USAGE]: unexpected argument 'erf'"),
        ([], "error[USAGE]: nothing to do"),
    ],
)
def test_mistakes_end_in_one_line_and_status_2(capsys: pytest.CaptureFixture[str], arguments: list, expected: str):
    status, lines = answer(capsys, *arguments)
    assert status == 2
    assert lines[0].startswith("gauss_vit: error[")
    assert expected in lines[0]
    assert all(line.startswith("usage: gauss-vit") for line in lines[1:])
    assert len(lines) <= 2, "the message, and how the verb is used"


@pytest.mark.parametrize("arguments", [["--help"], ["help"], ["train", "--help"], ["show", "-h"]])
def test_help_goes_to_standard_output(capsys: pytest.CaptureFixture[str], arguments: list):
    assert program.main(arguments) == 0
    captured = capsys.readouterr()
    assert captured.out.startswith("usage: gauss-vit")
    assert captured.err == ""


def test_completion_is_a_script(capsys: pytest.CaptureFixture[str]):
    assert program.main(["completion", "bash"]) == 0
    assert "complete -F _gauss_vit gauss-vit" in capsys.readouterr().out
    assert answer(capsys, "completion", "fish")[1][1] == "usage: gauss-vit completion (bash|zsh)"


def test_help_of_an_unknown_verb_is_a_mistake(capsys: pytest.CaptureFixture[str]):
    assert answer(capsys, "shwo", "--help")[1][0].endswith("unknown verb 'shwo'; did you mean show?")


def test_version_is_that_of_the_package(capsys: pytest.CaptureFixture[str]):
    assert program.main(["--version"]) == 0
    assert capsys.readouterr().out == f"gauss-vit {gauss_vit.__version__}\n"


@pytest.mark.parametrize("verb", program.VERBS)
def test_every_verb_has_a_module_with_run(verb: str):
    assert callable(importlib.import_module(program.VERBS[verb].module).run)


def test_bug_leaves_its_traceback_in_the_workdir(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    def fail(invocation: object) -> None:
        raise KeyError("broken")

    monkeypatch.setattr(f"{program.VERBS['train'].module}.run", fail)
    status, lines = answer(capsys, "train", CONFIG, f"--workdir={tmp_path}")
    assert status == 1
    (log,) = tmp_path.glob("crash-*.log")
    assert lines == [f"gauss_vit: error[BUG]: KeyError: 'broken' (traceback in {log}). DO: please report it"]
    assert "Traceback" in log.read_text()


def test_lack_of_memory_is_no_bug(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    def fail(invocation: object) -> None:
        raise JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 12 bytes.")

    monkeypatch.setattr(f"{program.VERBS['show'].module}.run", fail)
    status, (line,) = answer(capsys, "show", CONFIG)
    assert status == 8
    assert line.startswith(
        "gauss_vit: error[DEVICE-OOM]: gauss-vit ran out of memory: Out of memory allocating 12 bytes."
    )


def test_lack_of_threads_is_no_bug(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    def fail(invocation: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(f"{program.VERBS['show'].module}.run", fail)
    status, lines = answer(capsys, "show", CONFIG)
    remedy = "raise ulimit -u, or end other programs"
    assert lines == [
        f"gauss_vit: error[LIMIT]: the system allows no more threads: can't start new thread. DO: {remedy}"
    ]
    assert status == 8


def test_interrupt_is_no_bug(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    def interrupt(invocation: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(f"{program.VERBS['show'].module}.run", interrupt)
    assert answer(capsys, "show", CONFIG) == (130, ["gauss-vit: interrupted"])


def test_missing_library_is_named(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "gauss_vit.commands.show", None)
    monkeypatch.setattr(program.importlib, "import_module", _missing)
    status, lines = answer(capsys, "show", CONFIG)
    assert status == 2
    assert lines[-1] == "gauss_vit: error[DEP]: show needs matplotlib. DO: install it"


def test_windows_is_told_what_is_needed(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    def without_fcntl(name: str) -> None:
        raise ModuleNotFoundError(f"No module named 'fcntl' in {name}", name="fcntl")

    monkeypatch.setattr(program.importlib, "import_module", without_fcntl)
    status, lines = answer(capsys, "train", CONFIG, "--workdir=W")
    assert status == 2
    assert lines == ["gauss_vit: error[DEP]: gauss-vit needs Linux or macOS. DO: on Windows, run it in WSL"]


def _missing(name: str) -> None:
    raise ModuleNotFoundError(f"No module named 'matplotlib' in {name}", name="matplotlib")


# Processor time, from the start of the interpreter: a clock on the wall would measure what else the machine does.
PROBE = """
import os, sys
before = set(sys.modules)
from gauss_vit import main
status = main.main(sys.argv[1:])
names = {name.partition(".")[0] for name in set(sys.modules) - before} - set(sys.stdlib_module_names)
print(status, os.times().user + os.times().system, *sorted(names), sep="\\t")
"""


def probe(*arguments: str) -> tuple[int, float, set[str], list[str]]:
    """Exit status, processor seconds, packages imported and lines on standard error of a process of its own."""
    result = subprocess.run(
        [sys.executable, "-c", PROBE, *arguments], capture_output=True, text=True, check=True, env=BARE_ENVIRONMENT
    )
    status, seconds, *names = result.stdout.splitlines()[-1].split("\t")
    return int(status), float(seconds), set(names), result.stderr.splitlines()


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (["--help"], 0),
        (["--version"], 0),
        (["completion", "bash"], 0),
        (["erf", "--help"], 0),
        (["shwo"], 2),
        ([], 2),
        (["show", CONFIG, "--mseh=3"], 2),
        (["show", CONFIG, "--learning_rate=3"], 2),
        (["erf", "--learning_rate=3"], 2),
        (["show", CONFIG, "--mesh"], 2),
        (["show", CONFIG, "--mesh=2", "--mesh=4"], 2),
        (["evaluate", "--workdir=W", "--crop=abc"], 2),
        (["show", "--config.seed=2"], 2),
        (["train", CONFIG], 2),
        (["show"], 2),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_help_and_mistakes_are_answered_in_half_a_second_without_jax(arguments: list, status: int):
    answered, seconds, packages, _ = probe(*arguments)
    assert answered == status
    assert packages == {"absl", "gauss_vit"}
    assert seconds < 0.5


def test_mistake_in_a_config_is_answered_in_three_seconds():
    status, seconds, packages, lines = probe("show", CONFIG, "--config.model.dpeth=3")
    assert status == 2
    assert lines == ["gauss_vit: error[CONFIG]: unknown key model.dpeth; did you mean model.depth?"]
    assert seconds < 3, sorted(packages)
    assert not packages & {"orbax", "grain", "tensorflow_datasets", "tensorflow", "torch", "matplotlib"}


def process(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Runs a line of a shell in a folder, in which `gauss-vit` is the module as a program."""
    return subprocess.run(
        ["bash", "-c", f'gauss-vit() {{ "{sys.executable}" -m gauss_vit.main "$@"; }}; {command}'],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        env={**BARE_ENVIRONMENT, "PYTHONPATH": str(Path(__file__).parents[1])},
    )


PLANTED = ("jax", "numpy", "typing", "logging", "tempfile", "absl", "sitecustomize", "conftest", "config")


def test_nothing_is_imported_from_the_current_folder_or_that_of_the_config(tmp_path: Path):
    for name in PLANTED:
        (tmp_path / f"{name}.py").write_text(f"raise SystemExit('{name} was executed')")
    (tmp_path / "my.py").write_text("import numpy, tests.tiny_config\nget_config = tests.tiny_config.get_config\n")
    shown = process("gauss-vit show --config=my.py", tmp_path)
    assert (shown.returncode, shown.stderr) == (0, "")
    assert "parameters" in shown.stdout


@pytest.mark.parametrize(
    ("redirection", "message"),
    [
        (">&-", "cannot write to standard output: it is closed"),
        (">/dev/full", "cannot write to standard output: No space left on device"),
        ("2>&- >&-", ""),
        ("2>/dev/full >/dev/full", ""),
    ],
)
def test_output_that_cannot_be_written_is_one_line_and_status_8(tmp_path: Path, redirection: str, message: str):
    ended = process(f"gauss-vit --version {redirection}", tmp_path)
    assert (ended.returncode, ended.stdout) == (8, "")
    lines = [f"gauss_vit: error[STDOUT]: {message}. DO: send it where it can be written"] if message else []
    assert ended.stderr.splitlines() == lines


@pytest.mark.parametrize("redirection", ["2>&-", "2>/dev/full"])
def test_result_needs_no_standard_error(tmp_path: Path, redirection: str):
    ended = process(f"gauss-vit --version {redirection}; gauss-vit shwo {redirection}", tmp_path)
    assert (ended.returncode, ended.stdout, ended.stderr) == (2, f"gauss-vit {gauss_vit.__version__}\n", "")


def test_reader_that_stops_ends_the_program_in_silence(tmp_path: Path):
    ended = process("trap '' PIPE; gauss-vit --help | true; echo ${PIPESTATUS[0]}", tmp_path)
    assert (ended.stdout, ended.stderr) == ("0\n", "")


def test_names_on_the_command_line_cannot_control_the_terminal(capsys: pytest.CaptureFixture[str]):
    _, lines = answer(capsys, "show", "--config=\x1b[2J\u202e.json")
    assert lines[0].startswith(r"gauss_vit: error[CONFIG]: config file \x1b[2J\u202e.json does not exist")


def test_files_of_libraries_are_not_writable_for_others(
    capsys: pytest.CaptureFixture[str], monkeypatch, tmp_path: Path
):
    monkeypatch.setattr(f"{program.VERBS['show'].module}.run", lambda invocation: (tmp_path / "file").touch())
    before = os.umask(0)
    try:
        assert answer(capsys, "show", CONFIG)[0] == 0
        assert os.umask(0) == 0, "as it was"
    finally:
        os.umask(before)
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o644


def test_error_ends_the_process_although_a_thread_is_left():
    """As orbax leaves one that waits for ten minutes after a folder of a checkpoint could not be made."""
    code = """
import sys, threading
from gauss_vit.main import main
threading.Thread(target=threading.Event().wait).start()
sys.argv = ["gauss-vit", "no-such-verb"]
sys.exit(main())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("gauss_vit: error[")
