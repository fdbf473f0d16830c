"""The command line: exit statuses, the one line that explains, and how fast a mistake is answered."""

import resource
import subprocess
import sys
from pathlib import Path

import pytest

from gauss_vit import main as program
from tests.tiny_config import get_config

CONFIG = "--config=tests/tiny_config.py"


def answer(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, list[str]]:
    """The exit status and the lines on standard error."""
    status = program.main(arguments)
    return status, capsys.readouterr().err.splitlines()


def test_config_and_overrides_become_an_experiment():
    invocation = program.parse(["--workdir=W", CONFIG, "--config.seed=3", "--config.model.gaussian.sigma", "2"])
    assert invocation.verb == "train"
    assert invocation.required_experiment().seed == 3
    assert invocation.required_experiment().model.gaussian.sigma == 2.0
    assert invocation.path("workdir") == Path("W")


def test_order_of_flags_does_not_matter():
    first = program.parse(["show", "--config.seed=3", "--mesh=8", CONFIG])
    second = program.parse(["show", CONFIG, "--mesh", "8", "--config.seed=3"])
    assert first == second
    assert first.integer("mesh") == 8


def test_config_may_follow_after_a_space():
    assert program.parse(["show", "--config", "tests/tiny_config.py"]).experiment == get_config()


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
        (["show", CONFIG, "--learning_rate=3"], "did you mean --config.optimizer.learning_rate?"),
        (["show", CONFIG, "--mseh=3"], "error[USAGE]: unknown flag --mseh; did you mean --mesh?"),
        (["show", CONFIG, "--mesh=0"], "error[USAGE]: "),
        (["show", CONFIG, "--mesh=x"], "error[USAGE]: "),
        (["show", CONFIG, "--mesh"], "error[USAGE]: Missing value for flag --mesh"),
        (["show", CONFIG, CONFIG], "error[USAGE]: --config is given 2 times"),
        (["show", CONFIG, "--mesh=2", "--mesh=4"], "error[USAGE]: --mesh is given 2 times"),
        (["show", CONFIG, "--config.seed=2", "--config.seed=4"], "error[USAGE]: --config.seed is given 2 times"),
        (["show", "--config"], "error[USAGE]: --config needs a file"),
        (["show", "--config.seed=2"], "error[USAGE]: --config.seed needs a config to change"),
        (["show"], "error[CONFIG]: show needs --config. DO: "),
        (["train", CONFIG], "error[CONFIG]: train needs --workdir. DO: "),
        (["evaluate"], "error[CONFIG]: evaluate needs --workdir. DO: "),
        (["evaluate", "--workdir=/nonexistent"], "error[CONFIG]: /nonexistent holds no run"),
        (["shwo"], "error[USAGE]: unknown verb 'shwo'; did you mean show?"),
        (["--workdir=W", "erf"], "error[USAGE]: unexpected argument 'erf'"),
        ([], "error[USAGE]: nothing to do"),
    ],
)
def test_mistakes_end_in_one_line_and_status_2(capsys: pytest.CaptureFixture[str], arguments: list, expected: str):
    status, lines = answer(capsys, *arguments)
    assert status == 2
    assert lines[-1].startswith("gauss_vit: error[")
    assert expected in lines[-1]
    assert len(lines) <= len(program.VERBS) + 2, "the usage, a line a verb, and the error"
    assert "Traceback" not in "".join(lines)


@pytest.mark.parametrize("arguments", [["--help"], ["help"], ["train", "--help"], ["show", "-h"]])
def test_help_is_short_and_no_error(capsys: pytest.CaptureFixture[str], arguments: list):
    assert program.main(arguments) == 0
    captured = capsys.readouterr()
    assert captured.out.startswith("usage: gauss-vit")
    assert len(captured.out.splitlines()) <= len(program.VERBS) + 2
    assert captured.err == ""


@pytest.mark.parametrize("verb", program.VERBS)
def test_every_verb_has_a_module_with_run(verb: str):
    assert callable(program._runner(verb))


def test_bug_leaves_its_traceback_in_the_workdir(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    def fail(invocation: object) -> None:
        raise KeyError("broken")

    monkeypatch.setattr(program, "_runner", lambda verb: fail)
    status, lines = answer(capsys, "train", CONFIG, f"--workdir={tmp_path}")
    assert status == 1
    (log,) = tmp_path.glob("crash-*.log")
    assert lines == [f"gauss_vit: error[BUG]: KeyError: 'broken' (traceback in {log}). DO: please report it"]
    assert "Traceback" in log.read_text()


def test_interrupt_is_no_bug(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    def interrupt(invocation: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(program, "_runner", lambda verb: interrupt)
    assert answer(capsys, "show", CONFIG) == (130, ["gauss-vit: interrupted"])


def test_missing_library_is_named(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "gauss_vit.commands.show", None)
    monkeypatch.setattr(program.importlib, "import_module", _missing)
    status, lines = answer(capsys, "show", CONFIG)
    assert status == 2
    assert lines[-1] == "gauss_vit: error[DEP]: show needs matplotlib. DO: install it"


def _missing(name: str) -> None:
    raise ModuleNotFoundError(f"No module named 'matplotlib' in {name}", name="matplotlib")


def test_mistake_in_a_process_of_its_own_is_answered_in_three_seconds():
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    result = subprocess.run(
        [sys.executable, "-m", "gauss_vit.main", "show", CONFIG, "--config.model.dpeth=3"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 2
    assert result.stderr.splitlines()[-1] == (
        "gauss_vit: error[CONFIG]: unknown key model.dpeth; did you mean model.depth?"
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    # Of processor time, about 1.5 s: a clock on the wall would measure whatever else the machine is doing.
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 3


def test_nothing_heavy_is_imported_before_the_config_is_valid():
    heavy = ("orbax", "grain", "tensorflow_datasets", "tensorflow", "torch", "matplotlib")
    code = f"import sys, gauss_vit.main; print([name for name in {heavy} if name in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
