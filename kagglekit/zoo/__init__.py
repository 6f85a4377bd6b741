"""Which image models there are, how good they are on ImageNet, and how fast they are here."""

from kagglekit.zoo.plot import plot
from kagglekit.zoo.results import SOURCE, Result, read_results, shipped_results
from kagglekit.zoo.speed import Speed, known_speeds, probe_speeds, speeds_file
from kagglekit.zoo.table import Entry, cost_name, entries, filtered

__all__ = [
    "SOURCE",
    "Entry",
    "Result",
    "Speed",
    "cost_name",
    "entries",
    "filtered",
    "known_speeds",
    "plot",
    "probe_speeds",
    "read_results",
    "shipped_results",
    "speeds_file",
]
