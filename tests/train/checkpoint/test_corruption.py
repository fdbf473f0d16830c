"""Random damage anywhere in a checkpoint: the numbers that were saved, or the older checkpoint; never wrong ones.

`--sweep=N` tries N damages. Those of every file are in `test_reader`.
"""

import random
import shutil
from pathlib import Path

import chex
import pytest

from gauss_vit.train.checkpoint.reader import CHECKPOINTS, restore_state
from tests.train.states import save_steps, state_at, target

pytestmark = pytest.mark.full

NUM_DAMAGES = 1000
PAGE = 4096


def flip_bit(content: bytearray, place: int, chance: random.Random) -> None:
    content[place] ^= 1 << chance.randrange(8)


def zero_page(content: bytearray, place: int, chance: random.Random) -> None:
    start = place // PAGE * PAGE
    content[start : start + PAGE] = bytes(len(content[start : start + PAGE]))


def cut(content: bytearray, place: int, chance: random.Random) -> None:
    del content[place:]


def repeat_part(content: bytearray, place: int, chance: random.Random) -> None:
    length = chance.randint(1, 64)
    content[place : place + length] = content[:length]


def overwrite(content: bytearray, place: int, chance: random.Random) -> None:
    length = min(chance.randint(1, 64), len(content) - place)
    content[place : place + length] = chance.randbytes(length)


def insert_byte(content: bytearray, place: int, chance: random.Random) -> None:
    content.insert(place, chance.randrange(256))


DAMAGES = (flip_bit, zero_page, cut, repeat_part, overwrite, insert_byte)


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    workdir = tmp_path_factory.mktemp("saved")
    save_steps(workdir, 5, 10)
    return workdir


def test_no_random_damage_restores_wrong_numbers(saved: Path, tmp_path: Path, sweep: int | None):
    files = sorted(
        path for path in (saved / CHECKPOINTS / "10").rglob("*") if path.is_file() and path.stat().st_size > 0
    )
    sizes = [path.stat().st_size for path in files]
    older = 0
    for seed in range(sweep or NUM_DAMAGES):
        chance = random.Random(seed)
        # Half of them by size, as disks have it, and half by file, so that small ones are met too.
        path = chance.choices(files, weights=sizes if seed % 2 else None)[0]
        content = bytearray(path.read_bytes())
        chance.choice(DAMAGES)(content, chance.randrange(len(content)), chance)
        workdir = tmp_path / str(seed)
        shutil.copytree(saved, workdir)
        (workdir / path.relative_to(saved)).write_bytes(content)
        restored = restore_state(workdir, target())
        chex.assert_trees_all_equal(restored.arrays, state_at(restored.step))
        older += restored.step == 5
        shutil.rmtree(workdir)
    assert older > 0
