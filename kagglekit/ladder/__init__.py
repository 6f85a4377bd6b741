"""Ladders: from small models to large ones, each rung compared on one shared fold and promoted only if it won."""

from kagglekit.ladder.bake_off import bake_off
from kagglekit.ladder.climb import climb
from kagglekit.ladder.cost import Costs
from kagglekit.ladder.fresh import promoted_rows
from kagglekit.ladder.judge import shared_split
from kagglekit.ladder.outcome import Climbed, Fresh, Step, grouped
from kagglekit.ladder.record import Record, candidates_text, known_candidates, load_ladder

__all__ = [
    "Climbed",
    "Costs",
    "Fresh",
    "Record",
    "Step",
    "bake_off",
    "candidates_text",
    "climb",
    "grouped",
    "known_candidates",
    "load_ladder",
    "promoted_rows",
    "shared_split",
]
