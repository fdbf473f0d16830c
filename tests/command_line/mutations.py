"""Seeded slips in command lines and configs, and what the program answers to each.

    python -m tests.command_line.mutations --count=2000

prints a table of the kinds of slips. Answers are those of `main` in this process, whose imports are done; training
itself is left out, and verbs that read checkpoints or measure models are parsed but not run.
"""

import argparse
import contextlib
import copy
import dataclasses
import io
import json
import random
import re
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from unittest import mock

from gauss_vit import main as program
from gauss_vit.commands import train
from tests import tiny_config

CONFIG = tiny_config.FLAG
RUN_FOR_REAL = ("train", "show", "models")
MESSAGE = re.compile(r"gauss_vit: error\[(?P<code>[A-Z-]+)\]: .+")
DOCUMENTED = (0, 2, 3, 4, 8)
"""Exit statuses of the help of errors: wrong command line or config, data, checkpoints, storage."""

LINES: tuple[tuple[str, ...], ...] = (
    ("train", CONFIG, "--workdir=W", "--config.training.num_steps=3", "--config.optimizer.schedule.warmup.steps=1"),
    ("train", CONFIG, "--workdir=W", "--config.data.num_threads=2", "--config.model.position.terms[0].sigma=2.5"),
    (CONFIG, "--workdir=W", "--config.seed=7", "--config.task.label_smoothing=0.1", "--config.mesh.fsdp=1"),
    ("train", CONFIG, "--smoke", "--config.training.num_epochs=1.5", "--config.evaluators[0].every=2"),
    ("show", CONFIG, "--mesh=8", "--config.model.depth=3"),
    ("show", CONFIG, "--mesh=4", "--config.model.compute.dtype=bfloat16", "--config.training.batch_size=32"),
    ("evaluate", "--workdir=W", "--best", "--ema", "--crop=0.9", "--image_sizes=32"),
    ("probe", "--workdir=W", "--shots=5", "--neighbours=3", "--penalty=2.5"),
    ("erf", "--model=vit_small_patch16_224", "--images=I", "--out=O", "--max_images=4", "--dtype=float32"),
    ("erf", "--workdir=W", "--images=I", "--out=O", "--batch_size=8", "--protocol=pre_norm", "--nobands", "--fit=free"),
    ("position", "--workdir=W", "--out=O", "--token=center", "--max_images=3"),
    ("report", "--workdir=W", "--out=r.html", "--show_images=3", "--layers=last"),
    ("convert", "--workdir=W", "--to=timm", "--out=F", "--head=fresh"),
    ("compare", "A.npz", "B.npz", "--out=F"),
    ("movie", "W", "--fps=4", "--out=F.gif"),
    ("data", "prepare", "--from=I", "--name=birds", "--data_dir=D", "--size=64"),
    ("models", "vit_relpos", "--names"),
)
"""Command lines without a slip."""

WRONG_VALUES = (
    "",
    " ",
    "abc",
    "1.5",
    "-1",
    "0",
    "None",
    "nan",
    "1e400",
    "9" * 400,
    "1" + "0" * 30,
    "True",
    "[]",
    "{",
    "(1,",
    "'",
    "\uff13",
    "é🙂",
    "a=b",
    "../..",
)
WRONG_JSON: tuple[object, ...] = (None, True, -1, 0, 1.5, 10**30, 1e308, "", "abc", "é🙂", [], {}, [[1]], {"type": "X"})


COLUMNS = ("cases", "exit 0", "exit 2", "other", "status", "no message", "key not named", "slow")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Case:
    """A slip.

    Attributes:
      kind: What was done.
      arguments: The command line.
      names: Words of which the answer must contain one, if it is not 0: the right name of what was misspelt, or the key
        whose value is wrong; empty for several slips at once.
      config: Text of the config file that `{config}` in the arguments stands for; None if they name one.
    """

    kind: str
    arguments: tuple[str, ...]
    names: tuple[str, ...] = ()
    config: str | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Answer:
    """What the program answers: exit status, standard error, and seconds of the processor."""

    status: int
    error: str
    seconds: float


Slip = Callable[[random.Random, tuple[str, ...]], Case | None]


def misspelt(word: str, rng: random.Random) -> str:
    """Swaps, drops, doubles or replaces a letter."""
    place = rng.randrange(len(word))
    letter = rng.choice("abcdefghijklmnopqrstuvwxyz_é")
    head, tail = word[:place], word[place + 1 :]
    choices = (
        head + tail,
        head + word[place] + word[place:],
        head + letter + tail,
        head + tail[:1] + word[place] + tail[1:],
    )
    return rng.choice([choice for choice in choices if choice != word] or [word + "x"])


def _flags(arguments: Sequence[str]) -> list[int]:
    return [place for place, argument in enumerate(arguments) if argument.startswith("--")]


def _replaced(arguments: tuple[str, ...], place: int, *new: str) -> tuple[str, ...]:
    return (*arguments[:place], *new, *arguments[place + 1 :])


def _parts(argument: str) -> tuple[str, str, str]:
    """Splits `--name=value`."""
    return argument.removeprefix("--").partition("=")


def flag_typo(rng: random.Random, arguments: tuple[str, ...]) -> Case | None:
    """A letter of a flag or of the last part of a key."""
    place = rng.choice(_flags(arguments))
    name, sign, value = _parts(arguments[place])
    above, dot, last = name.rpartition(".")
    wrong = misspelt(last, rng)
    if not wrong or wrong == last:
        return None
    mutated = _replaced(arguments, place, f"--{above}{dot}{wrong}{sign}{value}")
    return Case(kind="typo in a flag", arguments=mutated, names=(last,))


def verb_typo(rng: random.Random, arguments: tuple[str, ...]) -> Case | None:
    """A letter of the verb."""
    if arguments[0].startswith("-"):
        return None
    wrong = misspelt(arguments[0], rng)
    return Case(kind="typo in the verb", arguments=_replaced(arguments, 0, wrong), names=(arguments[0],))


def wrong_nesting(rng: random.Random, arguments: tuple[str, ...]) -> Case | None:
    """A part of a key is left out, added, or taken from elsewhere."""
    places = [place for place in _flags(arguments) if arguments[place].startswith("--config.")]
    if not places:
        return None
    place = rng.choice(places)
    name, sign, value = _parts(arguments[place])
    _, *above, last = name.split(".")
    moved = rng.choice([above[:-1], [*above, "model"], ["model", *above], above[1:], ["training"]])
    if moved == above:
        return None
    key = ".".join([*moved, last])
    mutated = _replaced(arguments, place, f"--config.{key}{sign}{value}")
    return Case(kind="wrong nesting", arguments=mutated, names=(name.removeprefix("config."),))


def wrong_value(rng: random.Random, arguments: tuple[str, ...]) -> Case | None:
    """A value of another type, out of range, or of a strange form."""
    place = rng.choice(_flags(arguments))
    name, sign, _ = _parts(arguments[place])
    if not sign or name in ("config", "workdir"):
        return None
    value = rng.choice(WRONG_VALUES)
    mutated = _replaced(arguments, place, f"--{name}={value}")
    return Case(kind="wrong value", arguments=mutated, names=(re.split(r"[.\[]", name.replace("]", ""))[-1],))


def missing_value(rng: random.Random, arguments: tuple[str, ...]) -> Case | None:
    """A flag without its value."""
    place = rng.choice(_flags(arguments))
    name, sign, _ = _parts(arguments[place])
    if not sign:
        return None
    return Case(
        kind="missing value", arguments=_replaced(arguments, place, f"--{name}"), names=(name.rpartition(".")[2],)
    )


def dropped(rng: random.Random, arguments: tuple[str, ...]) -> Case | None:
    """A flag is left out."""
    place = rng.choice(_flags(arguments))
    name = _parts(arguments[place])[0]
    return Case(kind="dropped flag", arguments=_replaced(arguments, place), names=(name.rpartition(".")[2],))


def doubled(rng: random.Random, arguments: tuple[str, ...]) -> Case | None:
    """A flag is given twice."""
    place = rng.choice(_flags(arguments))
    name = _parts(arguments[place])[0]
    mutated = _replaced(arguments, place, arguments[place], arguments[place])
    return Case(kind="flag given twice", arguments=mutated, names=(name.removeprefix("no"),))


def stray_word(rng: random.Random, arguments: tuple[str, ...]) -> Case | None:
    """A word that belongs nowhere."""
    word = rng.choice(
        ["stray", "", " ", "é🙂", "-", "--", "=", "--=", "-x", "\u202e", "a\nb", "--config.", "---mesh=3"]
    )
    place = rng.randrange(len(arguments) + 1)
    mutated = (*arguments[:place], word, *arguments[place:])
    return Case(kind="stray word", arguments=mutated)


def two_slips(rng: random.Random, arguments: tuple[str, ...]) -> Case | None:
    """Any two of the others."""
    for slip in rng.sample(ON_LINES[:-1], 2):
        case = slip(rng, arguments) if _flags(arguments) else None
        arguments = arguments if case is None or not case.arguments else case.arguments
    return Case(kind="two slips", arguments=arguments)


ON_LINES: tuple[Slip, ...] = (
    flag_typo,
    verb_typo,
    wrong_nesting,
    wrong_value,
    missing_value,
    dropped,
    doubled,
    stray_word,
    two_slips,
)


def config_case(rng: random.Random) -> Case:
    """A slip in a config file."""
    tree = copy.deepcopy(tiny_config.get_config().to_json())
    kind = rng.choice(["key typo", "key dropped", "key moved up", "wrong JSON value", "text cut"])
    *above, last = rng.choice([path for path in _paths(tree) if isinstance(path[-1], str)])
    parent = tree
    for key in above:
        parent = parent[key]
    if kind == "wrong JSON value":
        parent[last] = rng.choice(WRONG_JSON)
    elif kind.startswith("key"):
        value = parent.pop(last)
        if kind == "key typo":
            parent[misspelt(last, rng)] = value
        elif kind == "key moved up":
            tree[last] = value
    text = json.dumps(tree, ensure_ascii=rng.random() < 0.5)
    names: tuple[str, ...] = (last,)
    if kind == "text cut":
        text, names = text[: rng.randrange(len(text))], ("is not valid JSON",)
    return Case(
        kind=f"config: {kind}", arguments=("train", "--config={config}", "--workdir=W"), names=names, config=text
    )


def _paths(value: object, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Lists the paths of all values in a tree of JSON."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield (*path, key)
        yield from _paths(item, (*path, key))


def cases(count: int, *, seed: int) -> Iterator[Case]:
    """Yields seeded slips, three of four in command lines."""
    rng = random.Random(seed)
    made = 0
    while made < count:
        case = config_case(rng) if rng.random() < 0.25 else rng.choice(ON_LINES)(rng, rng.choice(LINES))
        if case is not None:
            made += 1
            yield case


@contextlib.contextmanager
def without_work() -> Iterator[None]:
    """Leaves out training, and runs only the verbs in `RUN_FOR_REAL`."""
    runner = program._runner

    def parsed_only(verb: str) -> Callable[..., object]:
        return runner(verb) if verb in RUN_FOR_REAL else lambda invocation: None

    with (
        mock.patch.object(program, "_runner", parsed_only),
        mock.patch.object(train.loop, "fit", lambda run: None),
        mock.patch.object(train.smoke_test, "summary", lambda experiment, workdir, seconds: ""),
    ):
        yield


def ask(case: Case, folder: Path) -> Answer:
    """Runs a case in this process; an exception that the program lets through is status -1."""
    config = folder / "mutated.json"
    if case.config is not None:
        config.write_text(case.config, encoding="utf-8")
    arguments = [argument.replace("{config}", str(config)) for argument in case.arguments]
    error = io.StringIO()
    start = time.process_time()
    with contextlib.redirect_stderr(error), contextlib.redirect_stdout(io.StringIO()):
        try:
            status = program.main(arguments)
        except BaseException as raised:  # Whatever it is, a user would see a traceback.
            status, text = -1, f"{type(raised).__name__}: {raised}"
            error.write(text)
    return Answer(status=status, error=error.getvalue(), seconds=time.process_time() - start)


def _has(text: str, name: str) -> bool:
    """Returns whether a text contains a name that is not a part of a longer one."""
    return re.search(rf"(?<![\w]){re.escape(name)}(?!\w)", text.partition("\nusage:")[0]) is not None


def faults(case: Case, answer: Answer) -> list[str]:
    """Lists what is wrong with an answer."""
    found = []
    if answer.status not in DOCUMENTED or "Traceback" in answer.error:
        found.append("status")
    if answer.status != 0 and not any(MESSAGE.match(line) for line in answer.error.splitlines()):
        found.append("no message")
    if answer.status != 0 and case.names and not any(_has(answer.error, name) for name in case.names):
        found.append("key not named")
    if answer.seconds > 1.0:
        found.append("slow")
    return found


@dataclasses.dataclass(frozen=True, kw_only=True)
class Survey:
    """What the answers to many slips were.

    Attributes:
      counts: By kind of slip, the number of cases by exit status and fault.
      examples: A line for every answer with a fault.
    """

    counts: dict[str, dict[str, int]]
    examples: list[str]

    def total(self, column: str) -> int:
        """Adds a column over all kinds."""
        return sum(row[column] for row in self.counts.values())

    def table(self) -> list[str]:
        """Formats the counts, a line for each kind and one for all."""
        rows = {**dict(sorted(self.counts.items())), "all": {column: self.total(column) for column in COLUMNS}}
        head = f"{'kind':26}" + "".join(f"{column:>14}" for column in COLUMNS)
        return [
            head,
            *(f"{kind:26}" + "".join(f"{row[column]:14}" for column in COLUMNS) for kind, row in rows.items()),
        ]


def survey(count: int, *, seed: int, folder: Path) -> Survey:
    """Asks seeded cases, after one without a slip that does all imports."""
    counts: dict[str, dict[str, int]] = {}
    examples = []
    with without_work():
        ask(Case(kind="", arguments=("train", CONFIG, "--workdir=W")), folder)
        for case in cases(count, seed=seed):
            answer = ask(case, folder)
            found = faults(case, answer)
            row = counts.setdefault(case.kind, dict.fromkeys(COLUMNS, 0))
            exit_column = f"exit {answer.status}" if answer.status in (0, 2) else "other"
            for column in ("cases", exit_column, *found):
                row[column] += 1
            if found:
                examples.append(f"{found} {answer.status} {answer.seconds:.2f} {case.arguments} {answer.error[:300]!r}")
    return Survey(counts=counts, examples=examples)


def main() -> int:
    """Prints a table of kinds, and every answer with a fault; returns 0 if the answers are good enough."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, required=True)
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    report = survey(options.count, seed=options.seed, folder=options.folder)
    sys.stdout.write("\n".join([*report.table(), "", *report.examples, ""]))
    is_good = report.total("status") == report.total("no message") == report.total("slow") == 0
    return 0 if is_good and report.total("key not named") <= 0.05 * report.total("cases") else 1


if __name__ == "__main__":
    sys.exit(main())
