"""The identity of a run at each service, kept in its workdir, so that a resumed run continues there."""

import json
from pathlib import Path

from gauss_vit.files import read_json, replacing

_FILE = "tracking.json"


def identity(workdir: Path, service: str) -> str | None:
    """Returns the identity of a run at a service; None where it has none yet."""
    return _read(workdir).get(service)


def remember(workdir: Path, service: str, value: str) -> None:
    """Stores the identity of a run at a service. It is no secret: it names the run, and opens nothing.

    Raises:
      OSError: the file cannot be written.
    """
    with replacing(workdir / _FILE) as temporary:
        temporary.write_text(json.dumps(_read(workdir) | {service: value}) + "\n", encoding="utf-8")


def _read(workdir: Path) -> dict[str, str]:
    path = workdir / _FILE
    content = read_json(path) if path.exists() else {}
    if not isinstance(content, dict):
        raise ValueError(f"{path} is not a JSON object")
    return {str(service): str(value) for service, value in content.items()}
