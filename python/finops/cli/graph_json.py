"""The JSON of the commands about the genealogy: exact amounts as text, times in UTC.

Owns: names and order of the fields. Invariant: nothing is rounded, folded or shortened.
"""

from __future__ import annotations

from typing import Any

from finops.genealogy import (
    OUTCOMES,
    Allocation,
    Contributor,
    CostSum,
    Difference,
    LoadedGenealogy,
    NodeView,
    TreeNode,
)
from finops.pictures.model import Costs

from .render import fields_json

_VIEW_FIELDS = (
    "node_id", "kind", "label", "status", "outcome", "user_name", "cluster", "created_at",
    "is_pending", "is_unpriced", "has_other_currency", "own_cost",
)  # fmt: skip
_SHARE_FIELDS = (
    "node_id", "equal", "usage", "last_pays", "lowest", "highest", "exclusive", "full_cost",
    "is_usage_known",
)  # fmt: skip
_COUNTS = ("node_count", "unpriced_count", "other_currency_count")


def view_json(view: NodeView) -> dict[str, Any]:
    """One node."""
    return fields_json(view, *_VIEW_FIELDS)


def costs_json(costs: CostSum | Costs) -> dict[str, Any]:
    """A sum; with an unpriced_count above 0 it is a lower bound."""
    return fields_json(costs, "total", *OUTCOMES, *_COUNTS)


def graph_json(loaded: LoadedGenealogy) -> dict[str, Any]:
    """Which graph the answer is about."""
    return {"currency": loaded.currency, "other_currencies": loaded.other_currencies}


def tree_json(tree: list[TreeNode]) -> list[dict[str, Any]]:
    """The nodes of a tree, parents first; `parent` is a position in the list."""
    names = ("depth", "parent", "relation", "step", "is_repetition", "hidden_child_count")
    return [
        {
            **view_json(node.view),
            **fields_json(node, *names),
            "subtree_cost": costs_json(node.subtree_cost),
        }
        for node in tree
    ]


def contributors_json(contributors: list[Contributor]) -> list[dict[str, Any]]:
    """Largest first."""
    return [
        {
            "node_id": one.node_id,
            "cost": costs_json(one.cost),
            "path": list(one.path),
            "hidden_path_count": one.hidden_path_count,
        }
        for one in contributors
    ]


def difference_json(difference: Difference) -> dict[str, Any]:
    """Two closures side by side."""
    return {
        **{
            name: costs_json(getattr(difference, name))
            for name in ("only_first", "only_second", "both")
        },
        "first_contributors": contributors_json(difference.first_contributors),
        "second_contributors": contributors_json(difference.second_contributors),
    }


def allocation_json(allocation: Allocation) -> dict[str, Any]:
    """The claimants' shares; under each rule they and `no_outcome` add up to `total`."""
    return {
        "claimants": [fields_json(share, *_SHARE_FIELDS) for share in allocation.claimants],
        "no_outcome": costs_json(allocation.no_outcome),
        "total": costs_json(allocation.total),
    }
