"""Looking into a model: pictures as it sees them, drawn as sheets; tables by what its columns do."""

from __future__ import annotations

from kagglekit.inspect.batch import batch_sheet, sees_pictures
from kagglekit.inspect.confused import confusion_sheet, confusion_table
from kagglekit.inspect.heat import fold_model, heat_sheet
from kagglekit.inspect.rates import Rates, sweep_experiment
from kagglekit.inspect.sheets import Cell, Sheet, save_sheet
from kagglekit.inspect.study import PARTS, Inspection, inspect_table
from kagglekit.inspect.subject import Subject
from kagglekit.inspect.worst import worst_sheet

__all__ = [
    "PARTS",
    "Cell",
    "Inspection",
    "Rates",
    "Sheet",
    "Subject",
    "batch_sheet",
    "confusion_sheet",
    "confusion_table",
    "fold_model",
    "heat_sheet",
    "inspect_table",
    "save_sheet",
    "sees_pictures",
    "sweep_experiment",
    "worst_sheet",
]
