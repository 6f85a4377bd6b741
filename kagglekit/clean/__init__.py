"""A page for this computer on which suspect labels are marked: kept, corrected or left out."""

from __future__ import annotations

from kagglekit.clean.desk import Desk, Suspect, suspects_of
from kagglekit.clean.server import CleaningPage

__all__ = ["CleaningPage", "Desk", "Suspect", "suspects_of"]
