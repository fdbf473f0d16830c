"""Path rules over trees."""

import numpy as np
import pytest

from gauss_vit.errors import ConfigError
from gauss_vit.tree import flatten_paths, match_rules

TREE = {"blocks": {"attention": {"sigma": 1, "kernel": 2}}, "heads": [3, 4]}


def test_paths_join_keys_with_dots_in_tree_order():
    assert flatten_paths(TREE) == {
        "blocks.attention.kernel": 2,
        "blocks.attention.sigma": 1,
        "heads.0": 3,
        "heads.1": 4,
    }


def test_the_first_rule_that_matches_the_whole_path_decides():
    rules = ((r".*\.sigma", "none"), (r"blocks\..*", "all"), (r"blocks", "partial"))
    with pytest.raises(ConfigError, match="'blocks' matches no parameter"):
        match_rules(TREE, rules, "default")
    matched = match_rules(TREE, rules[:2], "default")
    assert matched == {
        "blocks": {"attention": {"sigma": "none", "kernel": "all"}},
        "heads": ["default", "default"],
    }


def test_no_rules_give_the_default_everywhere():
    assert match_rules({"a": np.zeros(2)}, (), 7) == {"a": 7}
