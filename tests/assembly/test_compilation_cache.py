"""Where compiled programs are kept, and that a second start finds them."""

import os
import subprocess
import sys
from pathlib import Path

import jax
import pytest

from gauss_vit.assembly import compilation_cache

PROGRAM = """
import jax
from gauss_vit.assembly import compilation_cache
compilation_cache._SHORTEST_COMPILATION = 0.0
compilation_cache.keep()
jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
print(jax.jit(lambda x: (x @ x).sum())(jax.numpy.ones((8, 8))))
"""


def test_a_folder_chosen_before_stays():
    before = jax.config.jax_compilation_cache_dir
    assert before is not None, "conftest chooses one"
    compilation_cache.keep()
    assert jax.config.jax_compilation_cache_dir == before


@pytest.mark.parametrize(("named", "under"), [("", "~/.cache"), ("relative", "~/.cache"), ("/somewhere", "/somewhere")])
def test_the_folder_is_that_of_the_user(named: str, under: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("XDG_CACHE_HOME", named)
    assert compilation_cache.folder() == Path(under).expanduser() / "gauss_vit" / "compiled"


def test_a_second_start_finds_the_programs(tmp_path: Path):
    environment = {name: value for name, value in os.environ.items() if not name.startswith("JAX_")}
    environment |= {"XDG_CACHE_HOME": str(tmp_path), "JAX_PLATFORMS": "cpu"}
    kept = []
    for _ in range(2):
        subprocess.run([sys.executable, "-c", PROGRAM], env=environment, check=True, timeout=120)
        kept.append({path.name for path in (tmp_path / "gauss_vit" / "compiled").glob("*-cache")})
    assert kept[0]
    assert kept[1] == kept[0]


def test_a_folder_that_cannot_be_written_stops_nothing(tmp_path: Path):
    (tmp_path / "gauss_vit").write_text("a file in the way")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("JAX_")}
    environment |= {"XDG_CACHE_HOME": str(tmp_path), "JAX_PLATFORMS": "cpu"}
    finished = subprocess.run(
        [sys.executable, "-c", PROGRAM], env=environment, check=True, timeout=120, capture_output=True, text=True
    )
    assert finished.stdout == "512.0\n"
    assert (tmp_path / "gauss_vit").read_text() == "a file in the way"
