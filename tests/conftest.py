"""Every test runs on eight simulated CPU devices, with shapes checked and nothing promoted in silence."""

import gc
import os
from pathlib import Path

# Tracing makes many small objects that live: with Python's thresholds a tenth of the time went to looking for cycles.
gc.set_threshold(50_000, 20, 20)
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("JAX_NUM_CPU_DEVICES", "8")
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(Path(__file__).parent.parent / ".cache" / "jax"))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.3")

from jaxtyping import install_import_hook

install_import_hook("gauss_vit", "beartype.beartype")

import chex
import jax
import pytest

from gauss_vit import main as program
from tests import tiny_config

_MANY_MAPS = 6_000
_DEFAULT_TIER = "not full"
_CHEAP = "jax_disable_most_optimizations"
_CHEAP_FLAGS = ("--xla_cpu_use_fusion_emitters=false", "--xla_cpu_parallel_codegen_split_count=1")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Adds the number of cases that each sweep of the full tier tries."""
    parser.addoption("--sweep", type=int, help="number of cases of a sweep, instead of its own")


@pytest.fixture(scope="session")
def sweep(request: pytest.FixtureRequest) -> int | None:
    """The number of cases of a sweep, where it is given."""
    return request.config.getoption("sweep")


def pytest_configure(config: pytest.Config) -> None:
    """Lets LLVM skip its optimizations in the default tier, in this process and in those that tests start.

    Drawing the parameters of a small ViT then compiles in 1.9 instead of 6.6 s of processor time. XLA's older way to
    generate code for fused operations compiles in half the time of its present one, and tests compile thousands of
    small programs, and one LLVM module for each, instead of one for each few functions, saves another quarter. XLA's
    passes over operations, memory and collectives stay what they are; the full tier compiles as users do.
    """
    is_cheap = config.option.markexpr == _DEFAULT_TIER
    _compile_cheaply(is_cheap)
    if is_cheap:
        # XLA reads its flags with the first program, and JAX is only imported so far.
        flags = os.environ.get("XLA_FLAGS", "").split()
        os.environ["XLA_FLAGS"] = " ".join(dict.fromkeys([*flags, *_CHEAP_FLAGS]))


def pytest_collection_finish(session: pytest.Session) -> None:
    """Takes what was imported and collected out of the search for cycles: it stays until the end."""
    gc.collect()
    gc.freeze()


def _compile_cheaply(is_cheap: bool) -> None:
    """Chooses for this process and for those that it starts."""
    os.environ["JAX_DISABLE_MOST_OPTIMIZATIONS"] = str(int(is_cheap))
    jax.config.update(_CHEAP, is_cheap)


@pytest.fixture(autouse=True, scope="module")
def full_optimization(request: pytest.FixtureRequest):
    """Compiles as users do where a module is marked `optimized`: guards of speed, and bits that must be the same."""
    if request.node.get_closest_marker("optimized") is None or not jax.config.read(_CHEAP):
        yield
        return
    jax.clear_caches()
    _compile_cheaply(False)
    yield
    _compile_cheaply(True)
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
    assert program.main([tiny_config.FLAG, tiny_config.OBSERVED, data_flag, f"--workdir={folder}"]) == 0
    return folder
