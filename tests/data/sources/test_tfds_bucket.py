"""A prepared data set in a bucket: its metadata through epath, its shards by array_record's own client.

The bucket is a stand-in: metadata in memory, and shards from a server on the loopback in place of Google's.
"""

import http.server
import re
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from gauss_vit.data.config import Data
from gauss_vit.data.sources import splits
from gauss_vit.errors import DataError
from tests.buckets import put_in_memory
from tests.tiny_config import DATA

BUCKET = "gs://bucket/sets"


class Objects(http.server.BaseHTTPRequestHandler):
    """Serves the bytes of files as Google's JSON API does."""

    root = Path()

    def do_GET(self) -> None:
        """Answers `/storage/v1/b/BUCKET/o/NAME` and the shorter forms of it, with a range of bytes."""
        name = re.sub(r"^(?:/download)?(?:/storage/v1/b)?/([^/]+)/(?:o/)?", r"\1/", self.path.partition("?")[0])
        content = (self.root / name.replace("%2F", "/")).read_bytes()
        first, last = self._range(len(content))
        part = content[first : last + 1]
        self.send_response(206)
        self.send_header("Content-Range", f"bytes {first}-{last}/{len(content)}")
        self.send_header("Content-Length", str(len(part)))
        self.end_headers()
        self.wfile.write(part)

    def _range(self, size: int) -> tuple[int, int]:
        asked = self.headers.get("Range", "bytes=0-")
        if found := re.fullmatch(r"bytes=-(\d+)", asked):
            return max(0, size - int(found[1])), size - 1
        first, last = re.fullmatch(r"bytes=(\d+)-(\d*)", asked).groups()
        return int(first), min(int(last or size - 1), size - 1)

    def log_message(self, *arguments: object) -> None:
        """Says nothing."""


@pytest.fixture
def bucket(digits_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The folder of data sets in a bucket, under which the digits are prepared."""
    files = {path: path.relative_to(digits_root) for path in digits_root.rglob("*") if path.is_file()}
    put_in_memory(monkeypatch, {f"{BUCKET}/{name}": path.read_bytes() for path, name in files.items()})
    (tmp_path / "bucket").mkdir()
    (tmp_path / "bucket" / "sets").symlink_to(digits_root)
    handler = type("Handler", (Objects,), {"root": tmp_path})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("CLOUD_STORAGE_EMULATOR_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
        yield BUCKET
        server.shutdown()


def data_of(data_dir: str, name: str = "digits:1.0.0") -> Data:
    return Data(**{**vars(DATA), "data_dir": data_dir, "name": name})


def test_records_of_a_bucket_are_those_of_the_folder(bucket: str, digits_root: Path):
    local, remote = (splits.open_split(data_of(root), "test[:5]") for root in (str(digits_root), bucket))
    assert len(remote) == len(local) == 5
    assert [remote[index].image for index in range(5)] == [local[index].image for index in range(5)]
    assert remote.file_set() == local.file_set()


def test_what_is_missing_in_a_bucket_is_said(bucket: str):
    with pytest.raises(DataError, match=f"mnist is not prepared under {BUCKET}/mnist"):
        splits.open_split(data_of(bucket, "mnist"), "test")


def test_folder_of_images_in_a_bucket_is_refused(bucket: str):
    with pytest.raises(DataError, match=r"is in a bucket; .* DO: pack the images"):
        splits.open_split(data_of(bucket, "folder"), "train")
