"""Files from outside that were altered: each is read, or refused by an error that the user is told.

`python -m tests.mutated_inputs --number=1000` reads that many altered files of every kind and prints how they ended.
"""

import argparse
import collections
import contextlib
import dataclasses
import io
import json
import random
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path

import numpy as np
from safetensors.numpy import save

from gauss_vit import experiment as experiments
from gauss_vit.data.images.mask import decode_mask
from gauss_vit.data.sources.class_list import read_classes
from gauss_vit.data.sources.coco_annotations import Annotations, read_annotations
from gauss_vit.data.sources.coco_selection import select
from gauss_vit.data.sources.labels import class_names
from gauss_vit.errors import UserError
from gauss_vit.inspect import comparison, observations
from gauss_vit.train.checkpoint import metadata, origin
from gauss_vit.train.checkpoint.reader import read_record
from gauss_vit.train.wall_time import PHASES
from gauss_vit.train.workdir import metrics_log, resume, timing_log
from gauss_vit.trained_on import UNKNOWN
from gauss_vit.weights import safetensors_file
from gauss_vit.weights.published import published
from tests import tiny_config
from tests.data.samples import encode
from tests.data.sources.coco_samples import document
from tests.data.sources.mask_samples import drawn_mask

LONGEST_SECONDS = 2.0
REFUSALS = (UserError, metadata.DamagedError)
VALUES = ("0", "-1", "1e999", "NaN", '""', "[]", "{}", "null", "true", "[[[]]]", '"\\u001b[2J"', "9" * 30)
_CLASSES = {"classes": [{"name": "sky", "color": [0, 0, 9]}, {"name": "road", "value": 7, "color": [9, 0, 0]}]}
NUMBERS = [0, 1, 0x7F, 0x80, 0xFF, 0x5B, 0x7B, 0x22]


@dataclasses.dataclass(frozen=True)
class Kind:
    """A kind of file.

    Attributes:
      name: path of the file in its folder.
      content: a file as it should be.
      read: function that reads it, given its path.
    """

    name: str
    content: bytes
    read: Callable[[Path], object]


def kinds() -> tuple[Kind, ...]:
    """Lists what is read from outside, with a sound file of each."""
    config = tiny_config.get_config().to_json()
    record = _record(config)
    times = _json({"step": 1, "time": 1.0, "seconds": dict.fromkeys(PHASES, 2.0)}) + b"\n"
    steps = b"".join(b'{"step": %d, "split": "train", "loss": 0.5}\n' % step for step in range(3))
    published_config = {
        "pretrained_cfg": {"mean": [0.5] * 3, "std": [0.5] * 3, "crop_pct": 0.9, "interpolation": "bicubic"},
        "num_classes": 2,
        "label_names": ["a", "b"],
    }
    return (
        Kind("labels.json", b'{"a": "cat", "b": "dog"}', lambda path: class_names(path.parent, ["a", "b"])),
        Kind("classes.json", _json(_CLASSES), lambda path: read_classes(path.parent)),
        Kind("instances.json", _json(document()), lambda path: _used(read_annotations(path))),
        Kind("mask.png", encode(drawn_mask(0)), lambda path: decode_mask(path.read_bytes(), name=str(path))),
        Kind("config.json", _json(config), experiments.read),
        Kind("run/config.json", _json(config), lambda path: resume.recorded_experiment(path.parent)),
        Kind("model.json", _json(published_config), _read_published),
        Kind("checkpoints/3/meta/metadata", _json(metadata.to_json(record)), _read_record),
        Kind("sealed", _json(metadata.to_json(record)["content"]), _read_sealed),
        Kind("x.safetensors", save({"a": np.eye(3), "b.c": np.ones(2, np.float16)}), _read_weights),
        Kind("field.json", _json({name: array.tolist() for name, array in _field().items()}), _read_resaved),
        Kind("field.npz", _npz(compressed=True), comparison.read),
        Kind("erf/step_1.npz", _npz(compressed=False), lambda path: _read_observations(path.parents[1])),
        Kind("metrics.jsonl", steps, lambda path: metrics_log.MetricsLog(path.parent, step=2).close()),
        Kind("timing.jsonl", times, _read_timing),
    )


def mutated(content: bytes, random_numbers: random.Random) -> bytes:
    """Alters bytes at one to four places: other bytes, values of other types, parts cut out or repeated."""
    changed = bytearray(content)
    for _ in range(random_numbers.randint(1, 4)):
        start = random_numbers.randrange(len(changed) + 1)
        stop = min(len(changed), start + random_numbers.choice((0, 1, 1, 2, 8, 64)))
        other = random_numbers.choice(("bytes", "value", "cut", "again", "flip", "end"))
        if other == "end":
            del changed[start:]
        elif other == "flip" and start < len(changed):
            changed[start] ^= 1 << random_numbers.randrange(8)
        else:
            changed[start:stop] = {
                "bytes": bytes(random_numbers.choices(NUMBERS, k=random_numbers.randint(1, 8))),
                "value": random_numbers.choice(VALUES).encode(),
                "again": bytes(changed[start : start + 200]),
            }.get(other, b"")
    return bytes(changed)


def mutated_json(content: bytes, random_numbers: random.Random) -> bytes:
    """Replaces one value of a JSON file by another, so that what follows the parser is reached."""
    document = json.loads(content)
    places = list(_places(document))
    container, key = random_numbers.choice(places)
    if random_numbers.random() < 0.2:
        del container[key]
    else:
        container[key] = json.loads(random_numbers.choice(VALUES))
    return json.dumps(document).encode()


def outcome(kind: Kind, content: bytes, folder: Path) -> str:
    """Reads a file and returns how that ended: "read", "refused", or what should not be."""
    path = folder / kind.name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    start = time.monotonic()
    try:
        kind.read(path)
        ending = "read"
    except REFUSALS as error:
        ending = "refused" if str(error) else "refused without a word"
    except Exception as error:
        ending = f"{type(error).__name__} in {traceback.extract_tb(error.__traceback__)[-1].name}"
    seconds = time.monotonic() - start
    return ending if seconds < LONGEST_SECONDS else f"took {seconds:.1f} s"


def endings(number: int, *, seed: int, folder: Path) -> dict[str, collections.Counter[str]]:
    """Reads that many altered files of every kind, and counts how they ended."""
    counts = {}
    for kind in kinds():
        random_numbers = random.Random(f"{seed} {kind.name}")
        is_json = kind.content[:1] == b"{" and b"\n" not in kind.content
        altered = (_altered(kind, random_numbers, is_json=is_json) for _ in range(number))
        counts[kind.name] = collections.Counter(outcome(kind, content, folder) for content in altered)
    return counts


def _altered(kind: Kind, random_numbers: random.Random, *, is_json: bool) -> bytes:
    if is_json and random_numbers.random() < 0.6:
        return mutated_json(kind.content, random_numbers)
    return mutated(kind.content, random_numbers)


def _places(document):
    items = (
        document.items() if isinstance(document, dict) else enumerate(document) if isinstance(document, list) else ()
    )
    for key, value in list(items):
        yield document, key
        yield from _places(value)


def _json(value: object) -> bytes:
    return json.dumps(value).encode()


def _npz(*, compressed: bool) -> bytes:
    file = io.BytesIO()
    write = np.savez_compressed if compressed else np.savez
    write(file, **_field())
    return file.getvalue()


def _field() -> dict[str, np.ndarray]:
    texts = {"title": np.array("model"), "protocol": np.array("total")}
    pair = {"token": np.array((1, 0)), "grid": np.array((2, 3)), "num_images": np.array(4)}
    numbers = {"erf": np.full((8, 12), 1 / 96), "radii_px": np.arange(3.0), "radial_mass": np.array((0.0, 0.5, 1.0))}
    return texts | pair | numbers


def _record(config) -> metadata.Record:
    progress = metadata.Progress(step=3, batch_digest="00ff", interval=(1, 2.5), metrics={"eval/top1": 0.5})
    leaves = {"params.head.kernel": metadata.Leaf(shape=(4, 2), dtype="float32", fingerprint=7)}
    return metadata.Record(
        progress=progress, experiment=config, trained_on=UNKNOWN, origin=origin.UNKNOWN, leaves=leaves
    )


def _read_record(path: Path) -> metadata.Record:
    return read_record(path.parents[3], 3)


def _read_timing(path: Path) -> None:
    timing_log.seconds_before(path.parent, 1)
    timing_log.TimingLog(path.parent).close()


def _read_sealed(path: Path) -> metadata.Record:
    content = json.loads(path.read_text()) if _is_json(path) else {}
    return metadata.from_json(json.dumps({"content": content, "crc32": metadata._checksum(content)}))


def _read_resaved(path: Path) -> None:
    """Saves what the altered numbers are as arrays, so that the check of the archive does not refuse them first."""
    content = json.loads(path.read_text()) if _is_json(path) else {}
    arrays = {}
    for name, value in content.items() if isinstance(content, dict) else ():
        with contextlib.suppress(ValueError, OverflowError):
            array = np.array(value)
            arrays[name] = array if array.dtype.kind in "biufU" else np.array(str(value))
    file = io.BytesIO()
    np.savez(file, **arrays)
    readers = {"field.npz": comparison.read, "erf/step_2.npz": lambda each: _read_observations(each.parents[1])}
    for name, read in readers.items():
        target = path.parent / "saved" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(file.getvalue())
        read(target)


def _is_json(path: Path) -> bool:
    try:
        json.loads(path.read_bytes())
    except (ValueError, RecursionError):
        return False
    return True


def _read_weights(path: Path) -> None:
    file = safetensors_file.open_weights(path)
    file.read(list(file.entries))


def _used(annotations: Annotations) -> None:
    """Selects the objects of annotations and draws them."""
    for place in select(annotations).objects.tolist():
        outline = annotations.outlines[place]
        if outline is not None:
            outline.bitmap(tuple(annotations.sizes[annotations.image[place]].tolist()))


def _read_published(path: Path) -> None:
    (path.parent / "model.safetensors").write_bytes(save({"a": np.eye(2)}))
    path.replace(path.parent / "config.json")
    published(path.parent)


def _read_observations(folder: Path) -> None:
    observations.target_of(folder)
    observations.read_observations(folder)


def main() -> int:
    """Prints how every kind of file ended; status 1 where something else than reading or refusing happened."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--number", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        counts = endings(given.number, seed=given.seed, folder=Path(folder))
    for name, ended in counts.items():
        sys.stdout.write(f"{name}: {dict(ended)}\n")
    return int(any(ended.keys() - {"read", "refused"} for ended in counts.values()))


if __name__ == "__main__":
    sys.exit(main())
