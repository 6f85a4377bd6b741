"""Looking at a competition's download: what can be seen in its files, and what is a guess.

Every finding comes with what was seen; what nothing in the files settles is a guess and is called one.
"""

from kagglekit.look.findings import Findings
from kagglekit.look.looking import look
from kagglekit.look.metric import metric_name

__all__ = ["Findings", "look", "metric_name"]
