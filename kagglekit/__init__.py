"""kagglekit: Kaggle competitions as intentional experiments.

Importing this package does nothing: no network, no login, no torch. Each module is imported where it is used.
Start reading at `kagglekit.flow`, which names the stages in order.
"""

__version__ = "0.1.0"
