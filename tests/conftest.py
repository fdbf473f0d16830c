"""Every test runs on eight simulated CPU devices, with shapes checked and nothing promoted in silence."""

import gc
import os
from pathlib import Path

import pytest

# Tracing makes many small objects that live: with Python's thresholds a tenth of the time went to looking for cycles.
gc.set_threshold(50_000, 20, 20)
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("JAX_NUM_CPU_DEVICES", "8")
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(Path(__file__).parent.parent / ".cache" / "jax"))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.3")

_DEFAULT_TIER = "not full"
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
    os.environ["JAX_DISABLE_MOST_OPTIMIZATIONS"] = str(int(is_cheap))
    if is_cheap:
        # XLA reads its flags with the first program, and JAX is only imported so far.
        flags = os.environ.get("XLA_FLAGS", "").split()
        os.environ["XLA_FLAGS"] = " ".join(dict.fromkeys([*flags, *_CHEAP_FLAGS]))
    if config.getoption("dist", "no") == "no":
        # The process that hands out tests to workers needs none of it, and importing JAX would hold it up.
        config.pluginmanager.import_plugin("tests.fixtures")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Gives a test of the full tier three hours before it counts as hanging."""
    for item in items:
        if item.get_closest_marker("full"):
            item.add_marker(pytest.mark.timeout(3 * 3600))


def pytest_collection_finish(session: pytest.Session) -> None:
    """Takes what was imported and collected out of the search for cycles: it stays until the end."""
    gc.collect()
    gc.freeze()
