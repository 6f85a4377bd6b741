"""Pictures as a model sees them, drawn as sheets that a person looks through."""

from __future__ import annotations

from kagglekit.inspect.batch import batch_sheet, sees_pictures
from kagglekit.inspect.sheets import Cell, Sheet, save_sheet
from kagglekit.inspect.worst import worst_sheet

__all__ = ["Cell", "Sheet", "batch_sheet", "save_sheet", "sees_pictures", "worst_sheet"]
