"""Which tile a layer goes on: rules by path."""

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import Any

from qsynapse_jax.nn._kernels import checked_tile
from qsynapse_jax.tile import Tile

# Longer lists of paths are cut: enough to see how they are built.
_NAMED = 12


def chosen_tile(paths: Iterable[str], tile: Tile, rules: Mapping[str, Tile | None]) -> Tile | None:
    """The tile of a layer that lies at `paths`, or None where it stays digital.

    An exact path goes before a pattern, the longer of two before the shorter, a later rule before an earlier one.
    """
    best: tuple[bool, int, int, int] | None = None
    chosen: Tile | None = tile
    for number, (rule, value) in enumerate(rules.items()):
        for path in paths:
            depth = _depth(rule, path)
            rank = (not _is_pattern(rule), depth, len(rule), number)
            if depth >= 0 and (best is None or rank > best):
                best, chosen = rank, value
    return chosen


def check_rules(rules: Any, layers: list[str], parts: list[str]) -> None:
    """A `ValueError` where rules are none, or their paths not in a model with `layers` among its `parts`."""
    if not isinstance(rules, Mapping):
        raise ValueError(
            "Argument `rules` must map paths of layers to a `Tile`, or to None for those that stay digital, e.g. "
            f"`{{'encoder/layers/0': None}}`, but is a {type(rules).__name__}."
        )
    for rule, value in rules.items():
        if value is not None:
            checked_tile(value)
        if not any(_depth(str(rule), path) >= 0 for path in (parts if value is None else layers)):
            near = get_close_matches(str(rule), layers, n=3, cutoff=0.3) or layers[:_NAMED]
            raise ValueError(
                f"Argument `rules` must name layers of the model, but {rule!r} is none; near it: "
                f"{', '.join(map(repr, near))}."
            )


def _depth(rule: str, path: str) -> int:
    """How many names of `path` a rule matches, from its root on; -1 if it does not match."""
    names = path.split("/") if path else []
    for count in range(len(names), -1, -1):
        above = "/".join(names[:count])
        if above == rule.strip("/") or (_is_pattern(rule) and fnmatchcase(above, rule)):
            return count
    return -1


def _is_pattern(rule: str) -> bool:
    return any(character in rule for character in "*?[")
