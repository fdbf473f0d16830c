"""A stand-in for a bucket: `gs://` in memory, as `etils.epath` sees it. No real bucket is read by any test."""

from collections.abc import Mapping

import pytest
from etils.epath import backend
from fsspec.implementations.memory import MemoryFileSystem


class Bucket(MemoryFileSystem):
    """Files in memory whose names are those of gcsfs: `bucket/name`, with or without the protocol."""

    protocol = ("gs", "gcs")
    store: dict = {}  # noqa: RUF012
    pseudo_dirs: list = [""]  # noqa: RUF012

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return super()._strip_protocol(path.removeprefix("gs://"))

    def glob(self, path: str, **named: object) -> list[str]:
        """Lists the files that a pattern matches."""
        return [name.lstrip("/") for name in super().glob(path, **named)]


def put_in_memory(monkeypatch: pytest.MonkeyPatch, files: Mapping[str, bytes]) -> None:
    """Puts files into buckets in memory, by their names such as "gs://bucket/a"; nothing else is in any bucket."""
    bucket = Bucket()
    monkeypatch.setattr(Bucket, "store", {})
    monkeypatch.setattr(Bucket, "pseudo_dirs", [""])
    monkeypatch.setattr(backend.fsspec_backend, "fs", lambda path: bucket)
    for name, content in files.items():
        bucket.pipe_file(name, content)
