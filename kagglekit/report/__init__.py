"""One HTML page that tells the story of a competition: what was tried and why, what it scored, where it errs."""

from kagglekit.report.material import Material
from kagglekit.report.page import write_board, write_report

__all__ = ["Material", "write_board", "write_report"]
