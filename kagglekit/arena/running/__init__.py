"""Running pushed notebooks on this computer: a queue in the arena's memory, and a process that works through it.

A module a noun: `queue` (runs and what became of them), `inputs` (what a run is given), `worker` (the process), `local`
(the `Runner` that the arena asks).
"""
