"""The project's own rules: imports point one way, the code is formatted and typed, importing it is light."""

import ast
import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SCRIPTS = Path(sysconfig.get_path("scripts"))
SOURCES = sorted((ROOT / "gauss_vit").rglob("*.py"))


@pytest.mark.parametrize(
    "command",
    [("lint-imports", "--no-cache"), ("ruff", "check", "."), ("ruff", "format", "--check", "."), ("pyrefly", "check")],
    ids=lambda command: "-".join(part for part in command if part[0] not in "-."),
)
def test_the_tools_have_no_complaint(command):
    done = subprocess.run([SCRIPTS / command[0], *command[1:]], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_importing_the_package_is_light():
    code = (
        "import sys, gauss_vit, gauss_vit.position, gauss_vit.models.presets, gauss_vit.experiment\n"
        "heavy = {'tensorflow', 'torch', 'tensorflow_datasets', 'grain', 'orbax', 'matplotlib', 'scipy.optimize'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    environment = {**os.environ, "JAX_PLATFORMS": "cpu"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True, env=environment
    )
    assert done.stdout.strip() == "[]"


def test_no_file_is_long():
    assert [path.name for path in SOURCES if len(path.read_text().splitlines()) > 400] == []


def unsafe_constructs(source: str) -> list[str]:
    """Finds imports and calls that can run code hidden in data."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias.name for alias in node.names] + [getattr(node, "module", None) or ""]
            found += [name for name in names if name.split(".")[0] in {"pickle", "shelve", "marshal", "dill", "torch"}]
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            found += [name] if name in {"eval", "exec", "yaml.load", "os.system"} else []
            found += [
                f"{name}(allow_pickle)" for word in node.keywords if word.arg == "allow_pickle" and word.value.value
            ]
    return found


def test_nothing_unpickles_or_runs_text():
    assert {path.name: found for path in SOURCES if (found := unsafe_constructs(path.read_text()))} == {}


def test_unsafe_constructs_would_be_found():
    source = "import pickle\nfrom torch import load\nx = eval('1')\nnp.load(f, allow_pickle=True)"
    assert unsafe_constructs(source) == ["pickle", "torch", "eval", "np.load(allow_pickle)"]


def impurities(source: str) -> list[str]:
    """Finds what depends on the machine or on earlier calls: reads of the backend or the environment, and caches."""
    impure = {"default_backend", "devices", "local_devices", "device_count", "environ", "getenv", "cache", "lru_cache"}
    names = (
        node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
        for node in ast.walk(ast.parse(source))
    )
    return [name for name in names if name in impure]


@pytest.mark.parametrize("room", ["ops", "position", "kernels", "models"])
def test_what_is_traced_reads_no_backend_and_keeps_no_cache(room: str):
    paths = sorted((ROOT / "gauss_vit" / room).rglob("*.py"))
    assert paths
    assert {path.name: found for path in paths if (found := impurities(path.read_text()))} == {}


def test_impurities_would_be_found():
    source = "import functools, jax\n@functools.cache\ndef platform(): return jax.default_backend()"
    assert impurities(source) == ["cache", "default_backend"]


def test_the_readme_and_the_continuous_integration_run_the_same_command():
    command = (ROOT / ".ci" / "run").read_text().strip().splitlines()[-1]
    assert command in (ROOT / "README.md").read_text()
