"""A disk that keeps only what was synced, replayed from a trace of system calls.

It is stricter than file systems are: a file's content is lost unless the file was synced after its last write, and an
entry of a folder unless that folder was. What a loss of power leaves lies between two extremes, `synced` and `renamed`.
"""

import dataclasses
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

_CONTENT = "openat,write,pwrite64,writev,pwritev,ftruncate,fsync,fdatasync"
_NAMES = "rename,renameat,renameat2,mkdir,mkdirat,unlink,unlinkat,rmdir"
CALLS = f"{_CONTENT},{_NAMES}"
"""System calls to trace, with `strace -f -y -s 300`."""

_LINE = re.compile(r"^(\d+)\s+(.*)$")
_RESUMED = re.compile(r"^<\.\.\. \w+ resumed>(.*)$")
_CALL = re.compile(r"^(\w+)\((.*)\)\s+= (-?\d+)")
_DESCRIPTOR = re.compile(r"^(?:AT_FDCWD|\d+)<([^>]*)>$")


@dataclasses.dataclass(eq=False)
class Node:
    """A file or a folder.

    Attributes:
      entries: entries of a folder; None is a file.
      synced: its entries when it was last synced.
      is_dirty: whether a file has content that was not synced.
    """

    entries: dict[str, "Node"] | None = None
    synced: dict[str, "Node"] = dataclasses.field(default_factory=dict)
    is_dirty: bool = True


@dataclasses.dataclass(frozen=True)
class Moment:
    """What a loss of power at a moment may leave.

    Attributes:
      announced: steps of the checkpoints that were announced.
      views: for both extremes, the paths of files, with whether their content is lost.
    """

    announced: tuple[int, ...]
    views: tuple[Mapping[str, bool], Mapping[str, bool]]


class Disk:
    """Replays calls below a folder that exists and is empty.

    Args:
      root: the folder.
    """

    def __init__(self, root: Path):
        self._prefix = f"{root}/"
        self._root = Node(entries={})

    def moments(self, trace: Path) -> Iterator[Moment]:
        """Yields the state of the disk whenever it changed."""
        announced: tuple[int, ...] = ()
        previous = None
        for name, arguments in _calls(trace):
            if name == "write" and (found := re.search(r'"saved checkpoint (\d+)', arguments)):
                announced = (*announced, int(found[1]))
            self._apply(name, arguments)
            views = (self._view(synced=True), self._view(synced=False))
            if (announced, views) != previous:
                previous = (announced, views)
                yield Moment(announced=announced, views=views)

    def _apply(self, name: str, arguments: str) -> None:
        paths = [path for path in _paths(arguments) if path.startswith(self._prefix) or f"{path}/" == self._prefix]
        if paths and name in _NAMES.split(","):
            self._apply_to_entries(name, paths)
        elif paths and name == "openat":
            if "O_CREAT" in arguments and self._find(paths[-1]) is None:
                self._put(paths[-1], Node())
        elif paths and name in ("fsync", "fdatasync"):
            self._sync(paths[0])
        elif paths and (node := self._find(paths[0])) is not None:
            node.is_dirty = True

    def _apply_to_entries(self, name: str, paths: list[str]) -> None:
        if name.startswith("rename"):
            self._put(paths[1], self._take(paths[0]))
        elif name.startswith("mkdir"):
            self._put(paths[-1], Node(entries={}))
        else:
            self._take(paths[-1])

    def _sync(self, path: str) -> None:
        node = self._find(path)
        if node is None:
            return
        if node.entries is None:
            node.is_dirty = False
        else:
            node.synced = dict(node.entries)

    def _view(self, *, synced: bool) -> Mapping[str, bool]:
        return dict(_walk(self._root, "", synced=synced))

    def _find(self, path: str) -> Node | None:
        node: Node | None = self._root
        for part in Path(path.removeprefix(self._prefix.rstrip("/"))).parts:
            if part != "/":
                node = None if node is None or node.entries is None else node.entries.get(part)
        return node

    def _put(self, path: str, node: Node | None) -> None:
        parent = self._find(str(Path(path).parent))
        if node is not None and parent is not None and parent.entries is not None:
            parent.entries[Path(path).name] = node

    def _take(self, path: str) -> Node | None:
        parent = self._find(str(Path(path).parent))
        return None if parent is None or parent.entries is None else parent.entries.pop(Path(path).name, None)


def _walk(node: Node, path: str, *, synced: bool) -> Iterator[tuple[str, bool]]:
    """Yields every file below a folder, and every folder that is empty with a slash."""
    entries = node.synced if synced else node.entries
    for name, child in (entries or {}).items():
        if child.entries is None:
            yield f"{path}{name}", child.is_dirty
        else:
            yield f"{path}{name}/", False
            yield from _walk(child, f"{path}{name}/", synced=synced)


def _calls(trace: Path) -> Iterator[tuple[str, str]]:
    """Yields the calls that succeeded, by name and arguments, in the order in which they ended."""
    begun: dict[str, str] = {}
    for line in trace.read_text(errors="replace").splitlines():
        found = _LINE.match(line)
        if found is None:
            continue
        thread, text = found.groups()
        if text.endswith("<unfinished ...>"):
            begun[thread] = text.removesuffix("<unfinished ...>").rstrip()
            continue
        if resumed := _RESUMED.match(text):
            text = begun.pop(thread, "") + resumed[1]
        if (call := _CALL.match(text)) and not call[3].startswith("-"):
            yield call[1], call[2]


def _paths(arguments: str) -> list[str]:
    """Resolves the paths among arguments: names in quotes, relative to the descriptor before them, or descriptors."""
    paths, folder = [], ""
    for argument in re.split(r", ", arguments):
        if descriptor := _DESCRIPTOR.match(argument):
            folder = descriptor[1]
            paths.append(folder)
        elif argument.startswith('"'):
            name = argument.strip('"')
            if paths and paths[-1] == folder and folder:
                paths.pop()
            paths.append(str(Path(folder or "/", name)))
            folder = ""
    return paths
