"""What parameters were trained on: round trips, and what is said of data that changed."""

import dataclasses
import json
from pathlib import Path

from gauss_vit.files import FileSet
from gauss_vit.train.checkpoint.reader import read_record
from gauss_vit.trained_on import UNKNOWN, from_json
from tests.train.states import TRAINED_ON, save_steps


def files_of(*sizes: int) -> FileSet:
    return FileSet.of((f"{index}.png", size) for index, size in enumerate(sizes))


def test_it_survives_json():
    for known in (TRAINED_ON, UNKNOWN):
        assert from_json(json.loads(json.dumps(dataclasses.asdict(known)))) == known
    assert from_json(None) == UNKNOWN


def test_a_record_of_before_classes_had_colours_is_read():
    stored = json.loads(json.dumps(dataclasses.asdict(TRAINED_ON)))
    del stored["palette"]
    assert from_json(stored) == dataclasses.replace(TRAINED_ON, palette=())


def test_it_is_stored_with_every_checkpoint(tmp_path: Path):
    save_steps(tmp_path, 1, 2)
    assert [read_record(tmp_path, step).trained_on for step in (1, 2)] == [TRAINED_ON, TRAINED_ON]


def test_files_are_compared_where_both_are_known():
    known = dataclasses.replace(UNKNOWN, files={"birds train": files_of(3, 4), "birds test": files_of(5)})
    assert known.changes_of_files({"birds train": files_of(3, 4), "cats train": files_of(1)}) == []
    assert known.changes_of_files({"birds train": files_of(3), "birds test": files_of(6)}) == [
        "birds train has 1 file of 3 bytes instead of 2 files of 7 bytes",
        "birds test has 1 file of 6 bytes instead of 1 file of 5 bytes",
    ]
    assert known.changes_of_files({"birds train": files_of(4, 3)}) == [
        "birds train has other names or sizes of its 2 files of 7 bytes in all"
    ]
