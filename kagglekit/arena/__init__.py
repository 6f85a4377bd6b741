"""The arena: a local server that speaks Kaggle's protocol, for practice, tests and offline work.

`hosting.create` registers a competition folder, `server.Arena` serves all of them. Practice scores are never Kaggle
scores: pages and answers say that they come from the arena.
"""
