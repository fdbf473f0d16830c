"""Weights that lie in a bucket: copied to this machine before they are read."""

import atexit
import shutil
import tempfile
from pathlib import Path

from etils import epath

from gauss_vit.errors import CheckpointError, ConfigError
from gauss_vit.files import is_remote

_READ = (".safetensors", ".json")


def local(name: str) -> Path:
    """Returns the path of a file or folder on this machine; of one in a bucket, such as `gs://b/x`, that of a copy.

    Of a folder, its weights and what describes them are copied. The copy is deleted when the process ends.

    Raises:
      ConfigError: code DEP, the package for this kind of bucket is not installed.
      CheckpointError: code IMPORT, it is not there or cannot be read.
    """
    if not is_remote(name):
        return Path(name).expanduser()
    folder = Path(tempfile.mkdtemp(prefix="gauss-vit-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    try:
        return _copy(epath.Path(name), folder)
    except ImportError as error:
        raise ConfigError(
            f"{name} cannot be read: {error}", do=f"install {error.name or 'gcsfs'}", code="DEP"
        ) from error
    # Each kind of bucket raises errors of its own.
    except Exception as error:
        message = f"{name} cannot be read: {type(error).__name__}: {error}"
        raise CheckpointError(message, code="IMPORT", do="check its name and your rights to read it") from error


def _copy(remote: epath.Path, folder: Path) -> Path:
    if not remote.is_dir():
        return _copy_file(remote, folder)
    for file in remote.iterdir():
        if file.suffix in _READ:
            _copy_file(file, folder)
    return folder


def _copy_file(remote: epath.Path, folder: Path) -> Path:
    path = folder / remote.name
    with remote.open("rb") as source, path.open("wb") as copy:
        shutil.copyfileobj(source, copy)
    return path
