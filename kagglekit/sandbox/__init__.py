"""Running a notebook or a script under the conditions of a Kaggle kernel, on this computer.

Inside, `/kaggle/input` is read-only, `/kaggle/working` takes the output, and there is no network, no token and no file
of the user's. `run` starts a `Job` and watches it to its end.
"""

from kagglekit.sandbox.jail import UNSEALED, find_jail
from kagglekit.sandbox.job import Job, Layout, Limits, Source, mounted_at
from kagglekit.sandbox.log import LogLine, kaggle_log, read_log
from kagglekit.sandbox.reasons import size_words, time_words
from kagglekit.sandbox.run import Outcome, Place, run

__all__ = [
    "UNSEALED",
    "Job",
    "Layout",
    "Limits",
    "LogLine",
    "Outcome",
    "Place",
    "Source",
    "find_jail",
    "kaggle_log",
    "mounted_at",
    "read_log",
    "run",
    "size_words",
    "time_words",
]
