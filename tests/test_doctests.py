"""The examples in docstrings and documents run, each module and page in a namespace of its own."""

import doctest
import importlib
from pathlib import Path

import jax
import pytest

ROOT = Path(__file__).parent.parent


def with_examples(folder: str, suffix: str) -> list[Path]:
    """Lists the files of a folder that hold examples, relative to the project."""
    files = sorted((ROOT / folder).rglob(f"*{suffix}"))
    return [path.relative_to(ROOT) for path in files if ">>> " in path.read_text(encoding="utf-8")]


@pytest.fixture(autouse=True)
def lenient_numerics():
    """Runs examples as a user does, without the strict promotion of the other tests."""
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        yield


@pytest.mark.parametrize("path", with_examples("gauss_vit", ".py"), ids=str)
def test_examples_of_docstrings_run(path: Path):
    module = importlib.import_module(".".join(path.with_suffix("").parts))
    results = doctest.testmod(module)
    assert results.attempted > 0
    assert results.failed == 0


@pytest.mark.parametrize("path", with_examples("docs", ".md"), ids=str)
def test_examples_of_documents_run(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
):
    if "runs/tiny" in (ROOT / path).read_text(encoding="utf-8"):
        (tmp_path / "runs").mkdir()
        (tmp_path / "runs" / "tiny").symlink_to(request.getfixturevalue("workdir"))
        monkeypatch.chdir(tmp_path)
    results = doctest.testfile(str(ROOT / path), module_relative=False, encoding="utf-8")
    assert results.attempted > 0
    assert results.failed == 0
