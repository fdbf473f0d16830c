"""Runs what is worth knowing of a borrowed accelerator, the most valuable first, within a number of minutes.

python -m benchmarks.device --minutes=8 [--out=device] [--peer_python=PYTHON] [--photos=DIR] [--only=NAME,...] [--list]

Every check of `benchmarks.device_plan` runs in a process of its own and in a time box; its record is on the disk before
the next one begins, and `summary.json` says after each what was answered, cut off, failed, or left out. It needs no
network. Where the machine lacks packages, fetch them beforehand and install them there:

    python -m benchmarks.wheels --python_version=3.12 --out=wheels [--have=FREEZE]
    python -m pip install --no-index --no-deps wheels/*.whl

Where `--photos` is not given, smooth noise is written as JPEG files and used in their place. The peer is the
interpreter of `--peer_python`, or this one where it has torch and timm; without one ours is timed alone.
`python -m benchmarks.report device/*_*.json` makes a page of the records.
"""

import argparse
import contextlib
import dataclasses
import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.device_plan import Check, filled, named

ROOT = Path(__file__).parent.parent
NUM_PHOTOS, PHOTO_SIZE = 250, (500, 375)
REPORT_S = 5.0
"""Seconds at the end that are kept for the summary."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Answer:
    """What became of a check.

    Attributes:
      name: Name of the check.
      question: What it asks.
      outcome: "answered", "failed", "cut off", "no time" or "no peer".
      seconds: Seconds that it took.
      command: Its command line.
      last: Last lines that it printed.
    """

    name: str
    question: str
    outcome: str
    seconds: float = 0.0
    command: str = ""
    last: tuple[str, ...] = ()


def run(check: Check, words: Sequence[str], *, place: int, folder: Path, seconds: float) -> Answer:
    """Runs one check in its box; the record and all that it prints are files of the folder."""
    stem = f"{place}_{check.name}"
    environment = os.environ | {"JAX_COMPILATION_CACHE_DIR": str(folder / "compiled"), "PYTHONUNBUFFERED": "1"}
    begin = time.monotonic()
    with (folder / f"{stem}.log").open("w", encoding="utf-8") as log:
        process = subprocess.Popen(
            [*words, f"--out={folder / f'{stem}.json'}"],
            cwd=ROOT,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=True,
        )
        try:
            outcome = "answered" if process.wait(timeout=seconds) == 0 else "failed"
        except subprocess.TimeoutExpired:
            outcome = "cut off"
        finally:
            # Peers are processes of the same group.
            _end(process)
    lines = (folder / f"{stem}.log").read_text(encoding="utf-8", errors="replace").splitlines()
    return Answer(
        name=check.name,
        question=check.question,
        outcome=outcome,
        seconds=round(time.monotonic() - begin, 1),
        command=" ".join(words),
        last=tuple(lines[-12:]),
    )


def run_plan(
    checks: Sequence[Check], *, folder: Path, minutes: float, peer: str | None, photos: Path
) -> tuple[Answer, ...]:
    """Runs the checks in their order until the time is used up, and writes the summary after each."""
    end = time.monotonic() + 60 * minutes - REPORT_S
    answers: list[Answer] = []
    cores = len(os.sched_getaffinity(0))
    for place, check in enumerate(checks, start=1):
        left = end - time.monotonic()
        if left < check.least_s:
            answers.append(Answer(name=check.name, question=check.question, outcome="no time"))
        elif check.needs_peer and peer is None:
            answers.append(Answer(name=check.name, question=check.question, outcome="no peer"))
        else:
            words = filled(check, python=sys.executable, peer=peer, photos=str(photos), cores=cores)
            print(f"{check.name}: {check.question} (at most {min(left, check.box_s):.0f} s)", flush=True)
            answers.append(run(check, words, place=place, folder=folder, seconds=min(left, check.box_s)))
            show(answers[-1])
        write_summary(folder, answers)
    return tuple(answers)


def show(answer: Answer) -> None:
    """Prints what became of a check, and the last lines of one that gave no answer in full."""
    for line in answer.last:
        print(f"    {line}")
    print(f"{answer.name}: {answer.outcome} after {answer.seconds:.0f} s", flush=True)


def write_summary(folder: Path, answers: Sequence[Answer]) -> None:
    """Writes what is known so far, whole or not at all."""
    text = json.dumps([dataclasses.asdict(answer) for answer in answers], indent=2)
    unfinished = folder / "summary.json.part"
    unfinished.write_text(text + "\n", encoding="utf-8")
    unfinished.replace(folder / "summary.json")


def noise_photos(folder: Path) -> Path:
    """Writes smooth noise as JPEG files of a common size, the same every time, unless they are there."""
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(0)
    for index in range(NUM_PHOTOS):
        coarse = random.integers(0, 256, (12, 16, 3), np.uint8)
        path = folder / f"{index:04d}.jpg"
        if not path.exists():
            Image.fromarray(coarse).resize(PHOTO_SIZE, Image.Resampling.BICUBIC).save(path, quality=90)
    return folder


def default_peer() -> str | None:
    """Finds this interpreter fit as the peer where it has torch and timm."""
    is_fit = all(importlib.util.find_spec(name) is not None for name in ("torch", "timm"))
    return sys.executable if is_fit else None


def _end(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def main() -> None:
    """Runs the plan and prints what was answered."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=8.0, help="time for everything")
    parser.add_argument("--out", type=Path, default=Path("device"), help="folder of records, logs and summary")
    parser.add_argument("--peer_python", default=default_peer(), help="interpreter with torch, timm and openerf")
    parser.add_argument("--photos", type=Path, help="folder of JPEG files; noise without")
    parser.add_argument("--only", default="", help="names of checks, separated by commas")
    parser.add_argument("--list", action="store_true", help="print the plan and run nothing")
    options = parser.parse_args()
    try:
        checks = named([name for name in options.only.split(",") if name])
    except ValueError as error:
        parser.error(str(error))
    if options.list:
        for check in checks:
            print(f"{check.name:12} {check.box_s:4.0f} s  {check.question}")
        return
    folder = options.out.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    photos = options.photos.absolute() if options.photos else noise_photos(folder / "photos")
    answers = run_plan(checks, folder=folder, minutes=options.minutes, peer=options.peer_python, photos=photos)
    print("\n".join(f"{answer.outcome:9} {answer.seconds:5.0f} s  {answer.name}" for answer in answers))
    sys.exit(any(answer.outcome == "failed" for answer in answers))


if __name__ == "__main__":
    main()
