"""Weight files: what was written comes back; what is damaged or hostile is refused at once, and never run."""

import json
import os
import pickle
import random
import resource
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from gauss_vit.errors import CheckpointError, StorageError
from gauss_vit.weights import safetensors_file
from gauss_vit.weights.safetensors_file import open_weights, write

TENSORS = {
    "norm.weight": np.linspace(0, 1, 3, dtype=np.float32),
    "head.weight": np.arange(6, dtype=np.float32).reshape(2, 3),
    "index": np.arange(4, dtype=np.int64).reshape(2, 2),
    "scalar": np.array(2, np.float32),
}
FLOAT = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}


def file_of(path: Path, header: object, data: bytes = b"", *, length: int | None = None) -> Path:
    """Writes a file with any header, true or not."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes((len(text) if length is None else length).to_bytes(8, "little") + text + data)
    return path


def refused(path: Path) -> str:
    """Opens a file that must be refused, quickly and without memory, and gives the message."""
    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    with pytest.raises(CheckpointError) as caught:
        file = open_weights(path)
        file.read(list(file.entries))
    assert time.process_time() - start < 1
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # KiB
    assert caught.value.code == "IMPORT" and caught.value.do
    assert str(caught.value).isascii() and str(caught.value).isprintable()
    return str(caught.value)


def test_there_and_back_is_the_identity(tmp_path):
    path = tmp_path / "folder" / "w.safetensors"
    write(path, TENSORS)
    file = open_weights(path)
    tensors = file.read(list(file.entries))
    assert set(tensors) == set(TENSORS)
    for name, array in TENSORS.items():
        assert tensors[name].dtype == array.dtype
        np.testing.assert_array_equal(tensors[name], array)


def test_other_libraries_read_it_and_are_read(tmp_path):
    write(tmp_path / "ours.safetensors", TENSORS)
    for name, array in load_file(tmp_path / "ours.safetensors").items():
        np.testing.assert_array_equal(array, TENSORS[name])
    save_file(TENSORS, tmp_path / "theirs.safetensors", metadata={"format": "pt"})
    assert (tmp_path / "theirs.safetensors").read_bytes() == (tmp_path / "ours.safetensors").read_bytes()


def test_half_precision_and_bfloat16_are_read(tmp_path):
    header = {
        "half": {"dtype": "F16", "shape": [2], "data_offsets": [0, 4]},
        "brain": {"dtype": "BF16", "shape": [2], "data_offsets": [4, 8]},
    }
    data = np.array([1.5, -2], np.float16).tobytes() + bytes([0xC0, 0x3F, 0x00, 0xC0])
    file = open_weights(file_of(tmp_path / "w", header, data))
    assert all(entry.is_float for entry in file.entries.values())
    for array in file.read(["half", "brain"]).values():
        np.testing.assert_array_equal(array.astype(np.float32), [1.5, -2])
    assert not open_weights(_written(tmp_path)).entries["index"].is_float


def _written(folder: Path) -> Path:
    write(folder / "valid.safetensors", TENSORS)
    return folder / "valid.safetensors"


def test_every_cut_is_refused(tmp_path):
    whole = _written(tmp_path).read_bytes()
    for size in (0, 1, 7, 8, 9, len(whole) // 2, len(whole) - 1):
        (tmp_path / "cut").write_bytes(whole[:size])
        refused(tmp_path / "cut")
    (tmp_path / "longer").write_bytes(whole + b"\0")
    assert "claim 72 bytes, but it holds 73" in refused(tmp_path / "longer")


def test_file_that_shrinks_after_the_check_is_refused(tmp_path):
    path = _written(tmp_path)
    file = open_weights(path)
    os.truncate(path, path.stat().st_size - 4)
    with pytest.raises(CheckpointError, match="became shorter"):
        file.read(list(file.entries))


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ({"w": {"dtype": "F32", "shape": [250000000], "data_offsets": [0, 10**9]}}, "claim 1000000000 bytes"),
        ({"w": {"dtype": "F32", "shape": [2**40, 2**40], "data_offsets": [0, 8]}}, "and has 8"),
        ({"w": {"dtype": "F32", "shape": [1] * 9, "data_offsets": [0, 4]}}, "has no shape of at most 8"),
        ({"w": {"dtype": "F32", "shape": [0, 2**62], "data_offsets": [0, 0]}}, "has no shape"),
        ({"w": {"dtype": "F32", "shape": [-2], "data_offsets": [0, 8]}}, "has no shape"),
        ({"w": {"dtype": "F32", "shape": [2.0], "data_offsets": [0, 8]}}, "has no shape"),
        ({"w": {"dtype": "F32", "shape": [True], "data_offsets": [0, 4]}}, "has no shape"),
        ({"w": {"dtype": "F32", "shape": [2], "data_offsets": [8, 0]}}, "needs 8 bytes and has -8"),
        ({"w": {"dtype": "F32", "shape": [2], "data_offsets": [0]}}, "no pair of data_offsets"),
        ({"w": {"dtype": "F32", "shape": [2], "data_offsets": [4, 12]}}, "starts at byte 4 instead of 0"),
        ({"v": FLOAT, "w": FLOAT}, "starts at byte 0 instead of 8"),
        ({"w": FLOAT | {"dtype": "F8_E4M3"}}, "has type F8_E4M3; known are F64"),
        ({"w": FLOAT | {"dtype": ["os.system"]}}, "has type ['os.system']"),
        ({"w": FLOAT | {"_target_": "os.system"}}, "is not described by dtype, shape"),
        ({"w": [1, 2]}, "is not described by dtype, shape"),
        ([FLOAT], "is not a JSON object"),
        (b"\xff\xfe{}", "it is not JSON"),
        (b"[" * 100_000, "it is not JSON"),
        (b'{"w":' + b"9" * 5000 + b"}", "it is not JSON"),
        (b'{"w":1,"w":2}', "the name w occurs twice"),
        (b'{"w":{"dtype":"F32","dtype":"F16"}}', "the name dtype occurs twice"),
    ],
    ids=range(21),
)
def test_false_headers_are_refused(tmp_path, header, expected):
    assert expected in refused(file_of(tmp_path / "w.safetensors", header, b"\0" * 8))


def test_header_that_claims_more_than_the_file_is_refused(tmp_path):
    assert "claims 1099511627776 bytes" in refused(file_of(tmp_path / "w", {}, length=2**40))


def test_tensor_of_terabytes_in_a_file_with_holes_is_refused(tmp_path):
    header = json.dumps({"w": {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 2**42]}}).encode()
    path = file_of(tmp_path / "w", header)
    with path.open("r+b") as file:
        file.truncate(8 + len(header) + 2**42)
    assert "needs 4398046511104 bytes, above the limit of 2147483648" in refused(path)


def test_header_of_a_million_entries_is_refused_unread(tmp_path):
    path = tmp_path / "w"
    with path.open("wb") as file:  # sparse: takes no room on disk
        file.write((2**26).to_bytes(8, "little") + b"{")
        file.truncate(2**26 + 8)
    assert "above the limit of" in refused(path)


@pytest.mark.parametrize("name", ["../../etc/passwd", "/abs", "a/../../b", "n" * 10_000, "\x1b[31mred\r\n", "\ud800"])
def test_names_never_reach_the_terminal_or_the_disk_raw(tmp_path, name):
    message = refused(file_of(tmp_path / "w", {name: {}}, b""))
    assert len(message) < 600
    assert sorted(path.name for path in tmp_path.iterdir()) == ["w"]


class Bomb:
    def __init__(self, canary: Path):
        self.canary = canary

    def __reduce__(self):
        return (Path.touch, (self.canary,))


@pytest.mark.parametrize("name", ["w.pth", "w.pt", "w.bin", "w.pkl", "w.ckpt", "w.safetensors"])
@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_pickles_are_refused_by_name_or_content_and_never_run(tmp_path, name, protocol):
    (tmp_path / name).write_bytes(pickle.dumps(Bomb(tmp_path / "canary"), protocol=protocol))
    message = refused(tmp_path / name)
    assert "can run code" in message and "run: python -c 'from torch import" in message
    assert not (tmp_path / "canary").exists()


def test_archives_are_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "w.safetensors", "w") as archive:
        archive.writestr("archive/data.pkl", b"cos\nsystem\n(S'touch canary'\ntR.")
    assert "can run code" in refused(tmp_path / "w.safetensors")


def test_safetensors_header_that_begins_like_a_pickle_is_read(tmp_path):
    header = json.dumps({"w": FLOAT}).encode().ljust(0x0280)
    file = open_weights(file_of(tmp_path / "w.safetensors", header, b"\0" * 8))
    assert file.path.read_bytes()[:2] == b"\x80\x02"
    np.testing.assert_array_equal(file.read(["w"])["w"], [0, 0])


def test_missing_files_folders_and_pipes_are_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "none", tmp_path, tmp_path / "pipe"):
        assert "there is no file" in refused(path)


def test_300_mutations_are_read_or_refused(tmp_path):
    whole = _written(tmp_path).read_bytes()
    draw = random.Random(0)
    header_end = 8 + int.from_bytes(whole[:8], "little")
    num_read = 0
    for _ in range(300):
        mutant = bytearray(whole)
        for _ in range(draw.randint(1, 4)):
            place = draw.randrange(header_end if draw.random() < 0.8 else len(mutant))
            mutant[place : place + draw.randint(0, 2)] = draw.randbytes(draw.randint(0, 2))
        (tmp_path / "mutant").write_bytes(mutant)
        try:
            file = open_weights(tmp_path / "mutant")
            num_read += len(file.read(list(file.entries))) > 0
        except CheckpointError:
            continue
    assert 0 < num_read < 300


def test_unwritable_places_are_storage_errors(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot write"):
        write(tmp_path / "file" / "w.safetensors", TENSORS)


def test_no_loader_that_runs_code_is_named_in_the_package():
    package = Path(safetensors_file.__file__).parent.parent
    for path in package.rglob("*.py"):
        text = path.read_text()
        for word in ("import pickle", "torch.load", "allow_pickle=True", "yaml.load", "eval(", "exec("):
            assert word not in text.replace("_eval(", ""), path
