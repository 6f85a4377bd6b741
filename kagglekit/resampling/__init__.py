"""Scores of resampled rows: the same resamples for every prediction, in constant memory.

`draws` says which rows a resample holds, `scorers` what they score; `fast` and `plain` are the inner loops of both,
compiled (numba) and not, with the same results.
"""

from kagglekit.resampling.bootstrap import resampled_scores

__all__ = ["resampled_scores"]
