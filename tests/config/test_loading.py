"""Config files: whatever is wrong in one is said with its own file and line, and JSON is only ever data."""

import json
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from gauss_vit.config import loading
from gauss_vit.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class Part:
    """A part with a check of its own."""

    size: int
    rate: float = 0.5

    def __post_init__(self):
        if self.size < 1:
            raise ConfigError(f"size must be at least 1, got {self.size}", do="choose 1")


@dataclass(frozen=True, kw_only=True)
class Whole:
    """A root."""

    part: Part
    name: str = "whole"
    count: int = 1


IMPORTS = "from tests.config.test_loading import Part, Whole\n"


def write(folder: Path, text: str, *, name: str = "x.py") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def refusal(source: Path | str) -> str:
    with pytest.raises(ConfigError) as caught:
        loading.load(str(source), Whole)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def refusal_of(folder: Path, body: str) -> str:
    return refusal(write(folder, f"{IMPORTS}def get_config():\n    {body}\n"))


def test_python_file_gives_what_get_config_returns(tmp_path: Path):
    path = write(tmp_path, f"{IMPORTS}def get_config():\n    return Whole(part=Part(size=3, rate=1))\n")
    assert loading.load(str(path), Whole) == Whole(part=Part(size=3, rate=1.0))


def test_config_dict_is_checked_as_the_dataclass_that_it_describes(tmp_path: Path):
    text = "from ml_collections import ConfigDict\ndef get_config():\n    config = ConfigDict({'part': {'size': 3}})\n"
    path = write(tmp_path, text + "    config.name = 'n'\n    return config\n")
    assert loading.load(str(path), Whole) == Whole(part=Part(size=3), name="n")
    wrong = write(tmp_path, text + "    config.part.sise = 4\n    return config\n", name="wrong.py")
    assert refusal(wrong) == f"{wrong}: unknown key part.sise; did you mean part.size?"


def test_text_behind_the_colon_is_the_argument(tmp_path: Path):
    path = write(tmp_path, f"{IMPORTS}def get_config(text):\n    return Whole(part=Part(size=1), name=text)\n")
    assert loading.load(f"{path}:a:b=c", Whole).name == "a:b=c"


def test_missing_and_needless_arguments_are_named(tmp_path: Path):
    takes = write(tmp_path, f"{IMPORTS}def get_config(text):\n    return Whole(part=Part(size=1))\n", name="takes.py")
    lacks = write(tmp_path, f"{IMPORTS}def get_config():\n    return Whole(part=Part(size=1))\n", name="lacks.py")
    assert "needs an argument" in refusal(takes)
    assert "takes no argument" in refusal(f"{lacks}:a")


def test_changed_file_is_read_again_and_leaves_no_byte_code(tmp_path: Path):
    for size in (1, 2, 3):
        path = write(tmp_path, f"{IMPORTS}def get_config():\n    return Whole(part=Part(size={size}))\n")
        assert loading.load(str(path), Whole).part.size == size
    assert [path.name for path in tmp_path.iterdir()] == ["x.py"]


def test_folder_of_the_file_is_not_searched_for_modules(tmp_path: Path):
    write(tmp_path, "raise SystemExit('executed')", name="planted.py")
    before = list(sys.path)
    message = refusal(write(tmp_path, "import planted\ndef get_config(): pass\n"))
    assert "No module named 'planted'" in message
    assert sys.path == before


def test_file_may_load_one_that_lies_beside_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    write(tmp_path, f"{IMPORTS}def get_config():\n    return Whole(part=Part(size=4))\n", name="base.py")
    beside = "from pathlib import Path\nBASE = Path(__file__).resolve().parent / 'base.py'\n"
    text = f"{IMPORTS}from gauss_vit.config import loading\n{beside}def get_config():\n"
    path = write(tmp_path, f"{text}    return loading.load(str(BASE), Whole)\n")
    assert loading.load(str(path), Whole).part.size == 4
    monkeypatch.chdir(tmp_path)
    assert loading.load("x.py", Whole).part.size == 4


def test_unknown_key_is_named_with_its_line_and_the_nearest(tmp_path: Path):
    message = refusal_of(tmp_path, "return Whole(part=Part(sise=3))")
    assert message == f"{tmp_path}/x.py line 3: unknown key part.sise; did you mean part.size?"


def test_value_that_its_class_refuses_is_named_with_its_line(tmp_path: Path):
    message = refusal_of(tmp_path, "return Whole(part=Part(size=-3))")
    assert message == f"{tmp_path}/x.py line 3: part.size must be at least 1, got -3 DO: choose 1"


def test_everything_that_is_wrong_is_named_at_once(tmp_path: Path):
    message = refusal_of(tmp_path, "return Whole(part=Part(size='3', rate=None), naem='x', count=1.5)")
    assert message.startswith(f"{tmp_path}/x.py: 4 problems: ")
    for part in ("part.size must be an integer, got '3'", "part.rate must be", "unknown key naem", "count must be"):
        assert part in message


def test_constructors_check_again_after_an_error(tmp_path: Path):
    refusal_of(tmp_path, "return Whole(part=Part(size=-3))")
    with pytest.raises(ConfigError):
        Part(size=-3)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("return undefined", "x.py line 3: NameError: name 'undefined' is not defined"),
        ("return get_config()", "x.py line 3: RecursionError"),
        ("raise SystemExit(0)", "x.py line 3: SystemExit: 0"),
        ("return {}", "x.py: get_config must return Whole, got dict"),
        ("return None", "x.py: get_config must return Whole, got NoneType"),
        ("return 1 / 0", "x.py line 3: ZeroDivisionError: division by zero"),
        ("return Whole(part=[Part(size=1)][1])", "x.py line 3: IndexError"),
    ],
)
def test_failure_of_the_file_is_said_with_its_line(tmp_path: Path, body: str, expected: str):
    assert expected in refusal_of(tmp_path, body)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("def get_config(:\n", "x.py line 1: SyntaxError: invalid syntax"),
        ("x = (\n", "x.py line 1: SyntaxError: '(' was never closed"),
        ("\n\nraise RuntimeError('two\\nlines')\n", "x.py line 3: RuntimeError: two lines"),
        ("", "x.py: there is no function get_config"),
        ("get_config = 3\n", "x.py: get_config is not a function"),
        ("\0", "x.py"),
    ],
)
def test_file_that_does_not_load_is_said_with_its_line(tmp_path: Path, text: str, expected: str):
    assert expected in refusal(write(tmp_path, text))


def test_failure_in_a_module_that_the_file_imports_points_at_the_file(tmp_path: Path):
    message = refusal_of(tmp_path, "import json; json.loads('{')")
    assert message.startswith(f"{tmp_path}/x.py line 3: JSONDecodeError")


def test_sources_that_are_no_config_file_are_refused(tmp_path: Path):
    assert "does not exist" in refusal(tmp_path / "none.py")
    assert "is a folder" in refusal(tmp_path)
    assert "neither .py nor .json" in refusal(write(tmp_path, "", name="x.yaml"))
    assert "is a folder" in refusal("")


def test_json_file_gives_the_same_as_the_python_file(tmp_path: Path):
    path = write(tmp_path, json.dumps({"part": {"size": 3}, "name": "n"}), name="x.json")
    assert loading.load(str(path), Whole) == Whole(part=Part(size=3), name="n")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{", "is not valid JSON"),
        ("", "is not valid JSON"),
        ("[" * 100_000, "is not valid JSON"),
        ('{"part": {"size": 1}, "part": {"size": 2}}', "the key 'part' occurs twice"),
        ('{"part": {"size": NaN}}', "part.size must be an integer, got nan"),
        ("[]", "the value must be Whole(...)"),
        ('{"part": {"size": 1}, "__import__": "os"}', "unknown key __import__"),
    ],
)
def test_json_file_that_does_not_fit_is_refused(tmp_path: Path, text: str, expected: str):
    assert expected in refusal(write(tmp_path, text, name="x.json"))


def test_json_that_is_no_text_is_refused(tmp_path: Path):
    path = tmp_path / "x.json"
    path.write_bytes(b"\xff\xfe{")
    assert "is not valid JSON" in refusal(path)
