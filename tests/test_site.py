"""The documentation builds as a site without a broken link; needs the extra `docs`."""

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("mkdocs_jupyter", reason="needs the extra docs")

pytestmark = pytest.mark.full


def test_site_builds_strictly(tmp_path: Path):
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", f"--site-dir={tmp_path / 'site'}"]
    built = subprocess.run(command, cwd=Path(__file__).parents[1], capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    assert (tmp_path / "site" / "notebooks" / "digits_to_receptive_field" / "index.html").is_file()
