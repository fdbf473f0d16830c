"""One tiny run, trained once, for all tests of the verbs."""

from pathlib import Path

import pytest

from gauss_vit import main as program

CONFIG = "--config=tests/tiny_config.py"


@pytest.fixture(scope="session")
def data_flag(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The override that says where the digits are prepared."""
    return f"--config.data.data_dir={tmp_path_factory.mktemp('tfds')}"


@pytest.fixture(scope="session")
def workdir(tmp_path_factory: pytest.TempPathFactory, data_flag: str) -> Path:
    """A finished run of four steps."""
    folder = tmp_path_factory.mktemp("runs") / "tiny"
    assert program.main([CONFIG, data_flag, f"--workdir={folder}"]) == 0
    return folder
