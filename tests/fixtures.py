"""What all tests share: a plugin that `tests/conftest.py` loads where tests run."""

import gc
import os
from pathlib import Path

from jaxtyping import install_import_hook

from tests.checking import checked_when_called

install_import_hook("gauss_vit", f"{checked_when_called.__module__}.{checked_when_called.__name__}")

import chex
import jax
import pytest

from gauss_vit import main as program
from tests import tiny_config
from tests.drawing import undrawn

_MANY_MAPS = 6_000
_CHEAP = "jax_disable_most_optimizations"


def pytest_configure(config: pytest.Config) -> None:
    """Tells JAX, which may have read the environment already."""
    compile_cheaply(os.environ.get(_CHEAP.upper()) == "1")


def compile_cheaply(is_cheap: bool) -> None:
    """Chooses for this process and for those that it starts."""
    os.environ[_CHEAP.upper()] = str(int(is_cheap))
    jax.config.update(_CHEAP, is_cheap)


@pytest.fixture(autouse=True, scope="module")
def full_optimization(request: pytest.FixtureRequest):
    """Compiles as users do where a module is marked `optimized`: guards of speed, and bits that must be the same."""
    if request.node.get_closest_marker("optimized") is None or not jax.config.read(_CHEAP):
        yield
        return
    jax.clear_caches()
    compile_cheaply(False)
    yield
    compile_cheaply(True)
    jax.clear_caches()


@pytest.fixture(autouse=True)
def strict_numerics():
    """No silent promotion of types or ranks: each would hide a wrong shape or a slow float32 detour."""
    with jax.numpy_dtype_promotion("strict"), jax.numpy_rank_promotion("raise"):
        yield


@pytest.fixture(autouse=True)
def traces_from_zero():
    """Counts the traces of `chex.assert_max_traces` for each test alone."""
    chex.clear_trace_counter()


@pytest.fixture(autouse=True, scope="module")
def released_programs():
    """Lets compiled programs go before there are many: they hold gigabytes, and Linux allows 65,530 maps a process."""
    yield
    if _num_maps() > _MANY_MAPS:
        jax.clear_caches()


@pytest.fixture(scope="module")
def settled_heap():
    """Takes what lives so far out of the search for cycles, for modules that cause many searches.

    After a checkpoint that cannot be read, what orbax abandoned is looked for at once (`train/checkpoint/quiet.py`);
    in a process that has run a thousand tests each search took 0.7 s.
    """
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


def _num_maps() -> int:
    maps = Path("/proc/self/maps")
    return maps.read_bytes().count(b"\n") if maps.exists() else 0


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real test images; tests that need it are skipped where it is not given."""
    folder = os.environ.get("GAUSS_VIT_TEST_DATA")
    if folder is None:
        pytest.skip("GAUSS_VIT_TEST_DATA is not set: real images are not part of the project")
    return Path(folder)


@pytest.fixture(scope="session")
def data_flag(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The override that says where the digits are prepared."""
    return f"--config.data.data_dir={tmp_path_factory.mktemp('tfds')}"


@pytest.fixture(scope="session")
def workdir(tmp_path_factory: pytest.TempPathFactory, data_flag: str) -> Path:
    """A finished run of four steps, observed at its end."""
    folder = tmp_path_factory.mktemp("runs") / "tiny"
    with undrawn():
        assert program.main([tiny_config.FLAG, tiny_config.OBSERVED, data_flag, f"--workdir={folder}"]) == 0
    return folder
