"""Detects whose names a weight file has: behind prefixes of wrappers, and without the root of a base model."""

import contextlib
import dataclasses
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from gauss_vit.errors import CheckpointError
from gauss_vit.heads.network import NetworkConfig
from gauss_vit.heads.stock import StockHead, stock_head
from gauss_vit.models.construct import abstract
from gauss_vit.tree import flatten_paths, unflatten_paths
from gauss_vit.weights.bias_sites import starts_fresh
from gauss_vit.weights.names.name_tables import NAME_TABLES
from gauss_vit.weights.names.naming import Expected, Rule, expected, shown_name
from gauss_vit.weights.safetensors_file import WeightFile

# Hugging Face's classifiers keep the backbone in one of these; a file of the backbone alone leaves it out.
_ROOTS = {"hugging_face": ("vit.", "deit.", "swin.")}
# Wrappers are few; a hostile name may have a million components.
_MOST_PREFIXES = 8
# Tensors that no classifier of ours reads: those of another head on the class token, and of masked pre-training.
_IGNORED = {
    "hugging_face": r"(\w+\.)?(pooler\.dense\.(weight|bias)|embeddings\.mask_token)"
    # Some files of UPerNet hold the backbone's last norm beside the one of the last stage, which takes its place.
    r"|backbone\.(swin\.)?layernorm\.(weight|bias)"
}


@dataclass(frozen=True, kw_only=True)
class Detected:
    """A weight file in the names of a table.

    Attributes:
      table: Naming of the file: a key of `NAME_TABLES`.
      has_head: Whether the file is of the network with its head; otherwise it is of the backbone with a classifier,
        which the network lacks.
      rules: Table of names for what the file is of.
      wanted: All tensors that the table expects there, by name.
      file: The file, its tensors renamed to what the table expects, without those that are ignored.
      prefix: Prefix that was taken off every name; empty if there was none.
      ignored: Names in the file of tensors that the model does not use.
    """

    table: str
    has_head: bool
    rules: tuple[Rule, ...]
    wanted: Mapping[str, Expected]
    file: WeightFile
    prefix: str
    ignored: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class _Reading:
    """A way to read a file's names, and the number of them that the table expects of a network."""

    table: str
    network: NetworkConfig
    wanted: Mapping[str, Expected]
    prefix: str
    root: str
    num_known: int

    @property
    def is_complete(self) -> bool:
        """Whether the file has every name."""
        return self.num_known == len(self.wanted)

    def name(self, theirs: str) -> str:
        """Returns the table's name for a name in the file."""
        return self.root + theirs.removeprefix(self.prefix)


def detect(file: WeightFile, network: NetworkConfig) -> Detected:
    """Finds the table, the prefix and the root with which most names of a file are expected.

    Position terms that foreign weights lack are not expected. A network whose head is no classifier may also be given
    the file of a classifier on its backbone.

    Args:
      file: The file.
      network: Config of the network.

    Raises:
      CheckpointError: no table knows any name.
    """
    readings = list(_readings(file, network))
    if not isinstance(network.head, StockHead) and not any(reading.is_complete for reading in readings):
        classifier = NetworkConfig(backbone=network.backbone, head=stock_head(network.backbone))
        readings += _readings(file, classifier)
    # The first of equals: as few changes of names as possible.
    best = max(readings, key=lambda reading: reading.num_known, default=None)
    if best is None or best.num_known == 0:
        names = ", ".join(shown_name(name) for name in sorted(file.entries)[:3]) or "none"
        tables = dict.fromkeys(reading.table for reading in readings) or NAME_TABLES
        raise CheckpointError(
            f"{shown_name(str(file.path))} has names of neither {' nor '.join(tables)} for this model: {names}",
            code="CKPT-TREE",
            do="choose the --model that the file was made for",
        )
    pattern = _IGNORED.get(best.table)
    renamed = {theirs: best.name(theirs) for theirs in file.entries}
    ignored = {theirs for theirs, name in renamed.items() if pattern and re.fullmatch(pattern, name)}
    entries = {name: file.entries[theirs] for theirs, name in renamed.items() if theirs not in ignored}
    return Detected(
        table=best.table,
        has_head=best.network == network,
        rules=NAME_TABLES[best.table](best.network),
        wanted=best.wanted,
        file=dataclasses.replace(file, entries=entries),
        prefix=best.prefix,
        ignored=tuple(sorted(ignored)),
    )


def shared_prefixes(names: Iterable[str]) -> tuple[str, ...]:
    """Lists the prefixes that all names share, from none to the longest, each a number of whole components.

    >>> shared_prefixes(["module.model.head.weight", "module.model.norm.bias"])
    ('', 'module.', 'module.model.')
    """
    parts = [name.split(".")[:-1][:_MOST_PREFIXES] for name in names]
    prefixes = [""]
    for components in zip(*parts, strict=False):
        if len(set(components)) > 1:
            break
        prefixes.append(f"{prefixes[-1]}{components[0]}.")
    return tuple(prefixes)


def _readings(file: WeightFile, network: NetworkConfig) -> Iterator[_Reading]:
    names, leaves = tuple(file.entries), flatten_paths(abstract(network)[1])
    target = unflatten_paths({path: leaf for path, leaf in leaves.items() if not starts_fresh(path, network.backbone)})
    for table, rules in NAME_TABLES.items():
        with contextlib.suppress(CheckpointError):  # The table has no names for such a model.
            wanted = expected(rules(network), target)
            for prefix in shared_prefixes(names):
                for root in ("", *_ROOTS.get(table, ())):
                    num_known = sum(root + name.removeprefix(prefix) in wanted for name in names)
                    yield _Reading(
                        table=table, network=network, wanted=wanted, prefix=prefix, root=root, num_known=num_known
                    )
