"""Weights in a bucket are copied before they are read; the bucket is a stand-in in memory."""

from pathlib import Path

import fsspec
import pytest
from etils.epath import backend

from gauss_vit.assembly.remote_files import local
from gauss_vit.errors import CheckpointError, ConfigError
from tests.buckets import put_in_memory


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> None:
    """`gs://bucket/model` with weights, and a file that is not copied."""
    files = {"a.safetensors": b"weights", "config.json": b"{}", "events": b"x" * 100}
    put_in_memory(monkeypatch, {f"gs://bucket/model/{name}": content for name, content in files.items()})


def test_path_of_this_machine_stays_what_it_is(tmp_path: Path):
    assert local(str(tmp_path)) == tmp_path
    assert local("~/a") == Path.home() / "a"


def test_file_of_a_bucket_is_copied(bucket: None):
    path = local("gs://bucket/model/a.safetensors")
    assert (path.name, path.read_bytes()) == ("a.safetensors", b"weights")


def test_of_a_folder_weights_and_descriptions_are_copied(bucket: None):
    folder = local("gs://bucket/model")
    assert sorted(path.name for path in folder.iterdir()) == ["a.safetensors", "config.json"]


def test_what_is_missing_is_said(bucket: None):
    with pytest.raises(CheckpointError, match="gs://bucket/none cannot be read: FileNotFoundError") as caught:
        local("gs://bucket/none")
    assert caught.value.code == "IMPORT"


def test_package_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch):
    def missing(protocol: str, **options: object) -> None:
        raise ImportError("Please install gcsfs to access Google Storage")

    backend.fsspec_backend._get_filesystem.cache_clear()
    monkeypatch.setattr(fsspec, "filesystem", missing)
    with pytest.raises(ConfigError, match="install gcsfs") as caught:
        local("gs://bucket/model")
    assert caught.value.code == "DEP"
