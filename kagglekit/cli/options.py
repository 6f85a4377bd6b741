"""Words that several commands take: arguments and options, with their help."""

from __future__ import annotations

from typing import Annotated

import typer

__all__ = ["Comp", "DryRun", "Jobs", "Json", "On", "Port", "PublicShare", "Ref", "Set"]

Comp = Annotated[str, typer.Argument(help="A competition's folder under pipelines/, such as paddy.")]
On = Annotated[str | None, typer.Option("--on", help="kaggle or arena; by default Kaggle when there are credentials.")]
Set = Annotated[
    list[str] | None, typer.Option("--set", help="table.key=value wins over the pipeline file; repeatable.")
]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON on standard output.")]
Ref = Annotated[str, typer.Argument(help="A submission's reference, a run's id, or an experiment's name.")]
Jobs = Annotated[
    int | None,
    typer.Option("--jobs", min=1, help="Folds at the same time: 1; of a portfolio on a small table as many as cores."),
]
PublicShare = Annotated[
    float, typer.Option("--public-share", help="Share of the test rows that is public, as the leaderboard says it.")
]
Port = Annotated[int, typer.Option("--port", min=0, max=65535, help="Port; 0 takes a free one.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Do everything except sending.")]
