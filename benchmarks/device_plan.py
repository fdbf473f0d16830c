"""The checks that a borrowed accelerator runs, the most valuable first: commands with the time that each may take."""

import dataclasses
from collections.abc import Sequence

PYTHON, PEER, PHOTOS, CORES = "{python}", "{peer}", "{photos}", "{cores}"
"""Places in a command that `filled` fills in."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Check:
    """One question to the device.

    Attributes:
      name: Name of its files.
      question: What its record answers.
      command: Words after `python -m`; places in braces are filled in, and `--out` is appended.
      box_s: Seconds after which it is stopped.
      least_s: Seconds below which it is not begun.
      needs_peer: Whether it is left out where no interpreter with timm and torch is given.
    """

    name: str
    question: str
    command: tuple[str, ...]
    box_s: float
    least_s: float
    needs_peer: bool = False


_STEPS = ("--dtypes=bfloat16", "--steps=20", "--unrolled", "--rounds=3")


def _training(size: str, *flags: str, box_s: float) -> Check:
    return Check(
        name=f"train_{size}",
        question=f"training step of vit_relpos_{size}_patch16_224 with the Gaussian, beside timm compiled",
        command=(
            "benchmarks.train",
            f"--peer-python={PEER}",
            "--compiled_peer",
            f"--model=vit_relpos_{size}_patch16_224",
            "--batch_size=512",
            *_STEPS,
            *flags,
        ),
        box_s=box_s,
        least_s=45,
    )


PLAN: tuple[Check, ...] = (
    Check(
        name="attention",
        question="cuDNN's attention with a bias beside our kernels and beside none, and whether each is right",
        command=(
            "benchmarks.attention",
            "--cases=1024x196,8x1024",
            "--check=64,576",
            "--dtype=bfloat16",
            "--rounds=3",
        ),
        box_s=110,
        least_s=30,
    ),
    _training("small", "--plain_peer=vit_small_patch16_224", box_s=150),
    _training("medium", box_s=120),
    _training("base", box_s=120),
    Check(
        name="erf",
        question="receptive fields beside OpenERF",
        command=(
            "benchmarks.erf",
            f"--images={PHOTOS}",
            f"--peer-python={PEER}",
            "--batch_size=250",
            "--rounds=3",
            "--unrolled",
        ),
        box_s=90,
        least_s=45,
        needs_peer=True,
    ),
    Check(
        name="tokens_4096",
        question="attention at 4,096 tokens",
        command=("benchmarks.attention", "--cases=2x4096", "--check=784", "--dtype=bfloat16", "--rounds=3"),
        box_s=90,
        least_s=30,
    ),
    Check(
        name="resume",
        question="whether a killed run ends with the numbers of one that was left alone",
        command=("benchmarks.resume", "--num_steps=120", "--checkpoint_every=40"),
        box_s=120,
        least_s=60,
    ),
    Check(
        name="overhead",
        question="the Gaussian in the training step",
        command=("benchmarks.overhead", "--batch_size=512", "--compile_rounds=0", *_STEPS),
        box_s=120,
        least_s=60,
    ),
    Check(
        name="real_input",
        question="photos from files beside a batch that stays on the device",
        command=(
            "benchmarks.train",
            "--input=real",
            f"--data={PHOTOS}",
            "--batch_size=512",
            f"--input_threads={CORES}",
            "--resampler=simd",
            *_STEPS,
        ),
        box_s=90,
        least_s=45,
    ),
)


def filled(check: Check, *, python: str, peer: str | None, photos: str, cores: int) -> list[str]:
    """Writes the command of a check; without a peer its side is left out.

    >>> filled(PLAN[-3], python="py", peer=None, photos="p", cores=1)[:3]
    ['py', '-m', 'benchmarks.resume']
    """
    places = {PEER: peer or "", PHOTOS: photos, CORES: str(cores)}
    words = [python, "-m", *check.command]
    if peer is None:
        words = [word for word in words if PEER not in word and not word.endswith("_peer") and "_peer=" not in word]
    return [_replaced(word, places) for word in words]


def _replaced(word: str, places: dict[str, str]) -> str:
    for place, value in places.items():
        word = word.replace(place, value)
    return word


def named(names: Sequence[str]) -> tuple[Check, ...]:
    """Chooses checks by name, in the order of the plan; all of them where no name is given.

    Raises:
      ValueError: A name is not in the plan.
    """
    unknown = sorted(set(names) - {check.name for check in PLAN})
    if unknown:
        raise ValueError(f"unknown check {unknown[0]!r}; choose from {', '.join(check.name for check in PLAN)}")
    return tuple(check for check in PLAN if not names or check.name in names)
