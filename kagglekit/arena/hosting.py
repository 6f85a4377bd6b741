"""Hosting: take a folder with a competition's files and its solution, check it, and register it with the arena."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pandas as pd

from kagglekit.arena.database import stamp
from kagglekit.arena.facts import Given, check_targets, columns_of, find_sample, guess_competition, header
from kagglekit.arena.field import BEST_POSSIBLE, Field
from kagglekit.arena.hosted import (
    ANSWERS,
    FACTS,
    FILES,
    HIDDEN,
    SOLUTION,
    USAGE,
    Hosted,
    HostedFile,
    competition_folder,
    hosted,
    is_hosted,
    now_utc,
    open_hosted,
    read_table,
    to_json,
)
from kagglekit.arena.leaks import check_copies
from kagglekit.contracts import Competition, Form, Label, Task
from kagglekit.errors import CompetitionNotFound, DataError, SubmissionError, UsageError, preview
from kagglekit.files import atomic_folder, link_or_copy, sha256, write_json
from kagglekit.forms import check_columns
from kagglekit.progress import Progress, Silent

__all__ = ["DAILY_LIMIT", "create", "hosted", "is_hosted", "open_hosted"]

#: Kaggle's usual number of submissions a day.
DAILY_LIMIT = 5

_PUBLIC_SHARE = 0.3
_USAGES = ("Public", "Private", "Ignored")


def create(
    folder: Path,
    home: Path,
    name: str,
    *,
    metric: str | None = None,
    title: str | None = None,
    description: str = "",
    daily_limit: int | None = None,
    synthetic: bool = False,
    task: Task | None = None,
    form: Form | None = None,
    classes: Sequence[Label] | None = None,
    group: str | None = None,
    time: str | None = None,
    deadline: datetime | None = None,
    answers: Mapping[str, pd.DataFrame] | None = None,
    best: pd.DataFrame | None = None,
    shown: Path | None = None,
    teams: int = 0,
    allow_copies: bool = False,
    replace: bool = False,
    progress: Progress | None = None,
) -> Hosted:
    """Register a competition.

    Files are hard-linked where the disk allows it, else copied. The solution is kept apart from them.

    Parameters
    ----------
    folder : Path
        What a competitor downloads (tables, image folders, a sample submission) and `solution.csv` with the columns
        id, target and Usage. Without Usage, 30 % of the ids become the public part, chosen by a hash of the id.
    home : Path
        The arena's home.
    name : str
        The competition's slug.
    metric : str, optional
        A name that `kagglekit.metrics` knows. Without it: accuracy for labels and for up to 20 distinct whole
        numbers, else rmse; the choice is said.
    title, description : str
        For people.
    daily_limit : int, optional
        Submissions a team has each UTC day; 5 when not given.
    synthetic : bool
        Whether code made the data.
    task, form, classes, group, time : optional
        Facts as in `Competition`; guessed from the files when not given.
    deadline : datetime, optional
        Aware; private scores are shown after it. Without it they stay hidden.
    answers : mapping of str to DataFrame, optional
        Further baselines: by team, what it submits.
    best : DataFrame, optional
        The best possible submission, where it is known how the data were made. Its score is told; it is no team.
    shown : Path, optional
        Makes it a code competition, which takes notebooks only: this folder is what a competitor downloads, with fewer
        test rows, and `folder` is what a submitted notebook finds in its place when it is run again to be scored.
    teams : int
        Simulated teams on the leaderboard.
    allow_copies : bool
        Host it even though training rows or images are among the test ones; the copies are then noted.
    replace : bool
        Replace a competition of this name that has other content.
    progress : Progress, optional

    Returns
    -------
    Hosted

    Raises
    ------
    DataError
        The folder is not a competition, or gives its answers away.
    ConfigError
        A fact is not one that kagglekit knows.
    UsageError
        The name is taken by other content, or cannot be a name.
    """
    progress = progress or Silent()
    place = _place_for(home, name)
    read = _read(folder, name, Given(metric, task, form, classes, group, time))
    if teams:
        read.competition.refuse_several(
            "A field of simulated teams", hint="Leave --teams out: baselines stand on the board."
        )
    _check(read)
    downloads = shown or folder
    offered = _file_names(downloads)
    shown_notes = [] if shown is None else _check_shown(shown, offered, read)
    copies = check_copies(folder, read.names, read.competition, refuse=not allow_copies, near=not synthetic)
    field = _field(read, answers or {}, best, teams)
    made = Hosted(
        folder=place,
        competition=read.competition,
        title=title or name.replace("-", " ").capitalize(),
        description=description,
        daily_limit=_checked_limit(daily_limit),
        synthetic=synthetic,
        sample=read.sample_name,
        files=_listed(downloads, offered),
        hidden=() if shown is None else _listed(folder, read.names),
        baselines=field.baselines,
        fingerprint=_fingerprint(read, shown, offered),
        created=stamp(now_utc()),
        deadline=stamp(deadline.astimezone(now_utc().tzinfo)) if deadline else None,
        notes=(*read.notes, *shown_notes, *copies),
        rivals=field.rivals,
        best=field.best,
    )
    for note in made.notes:
        progress.say(note)
    return _stored(made, downloads, folder, read.solution, field.answers, replace)


@dataclass(frozen=True)
class _Read:
    """What a folder holds.

    Parameters
    ----------
    folder : Path
    names : list of str
        Its files, but for the solution.
    solution, sample : DataFrame
    sample_name : str
    competition : Competition
        The facts, given or guessed.
    notes : tuple of str
        What was guessed.
    """

    folder: Path
    names: list[str]
    solution: pd.DataFrame
    sample: pd.DataFrame
    sample_name: str
    competition: Competition
    notes: tuple[str, ...]


def _read(folder: Path, name: str, given: Given) -> _Read:
    names = _file_names(folder)
    solution, notes = _read_solution(folder)
    sample_name = find_sample(folder, names, solution)
    sample = read_table(folder / sample_name, id_column=columns_of(solution)[0])
    check_targets(solution, sample)
    competition, guesses = guess_competition(name, given, solution, sample, folder, names)
    return _Read(folder, names, solution, sample, sample_name, competition, (*guesses, *notes))


def _check(read: _Read) -> None:
    _check_ids(read.solution, read.sample, read.competition, read.sample_name)
    _check_form(read.competition, read.sample, read.sample_name)
    _check_no_answers(read, read.folder, read.names)


def _field(read: _Read, answers: Mapping[str, pd.DataFrame], best: pd.DataFrame | None, teams: int) -> Field:
    given = dict(answers) | ({BEST_POSSIBLE: best} if best is not None else {})
    return Field.of(read.folder, read.names, read.competition, read.sample, read.solution, given, teams)


def _listed(folder: Path, names: Sequence[str]) -> tuple[HostedFile, ...]:
    return tuple(HostedFile(n, (folder / n).stat().st_size) for n in names)


def _place_for(home: Path, name: str) -> Path:
    try:
        return competition_folder(home, name)
    except CompetitionNotFound as error:
        raise UsageError(
            f"'{name}' cannot be a competition's name: letters a-z, digits and hyphens only, at most 80."
        ) from error


def _checked_limit(daily_limit: int | None) -> int:
    if daily_limit is not None and daily_limit < 1:
        raise UsageError(f"The daily limit must be 1 or more, got {daily_limit}.")
    return daily_limit or DAILY_LIMIT


def _file_names(folder: Path) -> list[str]:
    if not folder.is_dir():
        raise DataError(f"{folder} is not a folder.", hint="Name the folder that holds the competition's files.")
    paths = [p for p in sorted(folder.rglob("*")) if not _is_hidden(p.relative_to(folder))]
    if links := [p for p in paths if p.is_symlink()]:
        raise DataError(
            f"{folder} holds symbolic links, which could lead anywhere: {preview(p.name for p in links)}.",
            hint="Copy the files they point to.",
        )
    names = [p.relative_to(folder).as_posix() for p in paths if p.is_file()]
    if astray := [n for n in names if n != SOLUTION and Path(n).name.lower() == SOLUTION]:
        raise DataError(f"Competitors could download {preview(astray)}.", hint=f"Keep {SOLUTION} at the top only.")
    return [n for n in names if n != SOLUTION]


def _is_hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


def _read_solution(folder: Path) -> tuple[pd.DataFrame, list[str]]:
    path = folder / SOLUTION
    if not path.is_file():
        raise DataError(
            f"{folder} holds no {SOLUTION}.",
            hint="It needs the columns id, target and Usage. Or name one labelled CSV, to have a test set cut out.",
        )
    id_column, targets = columns_of(read_table(path))
    solution = read_table(path, id_column=id_column)
    if empty := int(solution.isna().any(axis=1).sum()):
        raise DataError(f"{SOLUTION} has {empty} row(s) with an empty cell.", hint="Every test id needs its answer.")
    if solution[id_column].duplicated().any():
        twice = solution.loc[solution[id_column].duplicated(), id_column]
        raise DataError(f"{SOLUTION} holds ids more than once: {preview(twice.unique())}.")
    notes = []
    if USAGE not in solution:
        solution[USAGE] = solution[id_column].map(_usage)
        share = (solution[USAGE] == "Public").mean()
        notes.append(f"{SOLUTION} has no {USAGE} column; {share:.0%} of the ids were made public by a hash of the id.")
    _check_usage(solution[USAGE])
    return solution[[id_column, *targets, USAGE]], notes


def _usage(identifier: object) -> str:
    digest = hashlib.sha256(str(identifier).encode()).digest()
    return "Public" if int.from_bytes(digest[:8], "big") < _PUBLIC_SHARE * 2**64 else "Private"


def _check_usage(usage: pd.Series) -> None:
    if odd := sorted(set(usage.unique()) - set(_USAGES)):
        raise DataError(f"{USAGE} must be one of {', '.join(_USAGES)}; got {preview(odd)}.")
    if not (usage == "Public").any():
        raise DataError(f"{SOLUTION} has no row whose {USAGE} is Public, so no submission could get a score.")


def _check_ids(solution: pd.DataFrame, sample: pd.DataFrame, competition: Competition, sample_name: str) -> None:
    if competition.id not in sample:
        raise DataError(f"{sample_name} needs the column '{competition.id}', got {list(sample.columns)}.")
    asked, answered = pd.Index(sample[competition.id]), pd.Index(solution[competition.id])
    if asked.has_duplicates:
        raise DataError(f"{sample_name} holds ids more than once: {preview(asked[asked.duplicated()].unique())}.")
    missing, extra = asked.difference(answered), answered.difference(asked)
    if len(missing) or len(extra):
        raise DataError(
            f"{SOLUTION} and {sample_name} must hold the same ids; {len(missing)} lack an answer"
            f" ({preview(missing)}), {len(extra)} are not asked for ({preview(extra)})."
        )


def _check_form(competition: Competition, sample: pd.DataFrame, sample_name: str) -> None:
    """Refuse a competition that would refuse every submission."""
    hint = f"Change the columns of {sample_name}, or choose a metric that they fit with --metric."
    try:
        check_columns(competition, sample)
    except SubmissionError as error:
        raise DataError(
            f"{sample_name} does not fit metric '{competition.metric}'. {error.message}", hint=hint
        ) from error
    if competition.form == "probability" and len(competition.classes) != 2:
        raise DataError(
            f"{sample_name} does not fit metric '{competition.metric}'. One column of probabilities needs two classes, "
            f"got {len(competition.classes)}: {preview(competition.classes)}.",
            hint=hint,
        )


def _check_shown(shown: Path, names: Sequence[str], read: _Read) -> list[str]:
    """Refuse a code competition whose notebooks could not be written for the files that are shown."""
    if (shown / SOLUTION).exists():
        raise DataError(f"{shown} holds a {SOLUTION}.", hint="It belongs with the hidden test set, and only there.")
    if read.sample_name not in names:
        raise DataError(f"{shown} needs {read.sample_name} too, with the test ids that are shown.")
    sample = read_table(shown / read.sample_name, id_column=read.competition.id)
    columns, hidden = list(sample.columns), list(read.sample.columns)
    if columns != hidden:
        raise DataError(
            f"{read.sample_name} must have the same columns in both folders, got {columns} for those shown and "
            f"{hidden} for the hidden ones."
        )
    _check_no_answers(read, shown, names)
    return [f"A code competition: {len(sample)} test rows are shown, {len(read.sample)} are hidden."]


def _check_no_answers(read: _Read, among: Path, names: Sequence[str]) -> None:
    """Look for the solution in the files of a folder that competitors see."""
    secret = sha256(read.folder / SOLUTION)
    size = (read.folder / SOLUTION).stat().st_size
    for name in names:
        path = among / name
        if path.stat().st_size == size and sha256(path) == secret:
            raise DataError(f"{name} is a copy of {SOLUTION}; competitors could download the answers.")
        if name.endswith(".csv") and _tells(path, read.solution, read.competition, may_guess=name == read.sample_name):
            raise DataError(
                f"{name} gives the true '{read.competition.target}' of the test ids away.",
                hint="Remove the column, or put other values into it.",
            )


def _tells(path: Path, solution: pd.DataFrame, competition: Competition, *, may_guess: bool) -> bool:
    """Whether a table holds the answers of at least half the test ids, all of them right.

    A sample submission and a table whose ids start again at zero may agree by chance in part; a column that is right
    for every row does not, unless all answers are one and the same.
    """
    return any(_tells_column(path, solution, competition.id, c, may_guess) for c in competition.target_columns)


def _tells_column(path: Path, solution: pd.DataFrame, id_column: str, target: str, may_guess: bool) -> bool:
    columns = [id_column, target]
    if not set(columns) <= set(header(path)):
        return False
    frame = read_table(path, columns, id_column=id_column).dropna().drop_duplicates(id_column)
    answers = solution.set_index(id_column)[target]
    found = frame.set_index(id_column)[target]
    shared = answers.index.intersection(found.index)
    if len(shared) * 2 < len(answers) or (may_guess and answers.nunique() == 1):
        return False
    return _equal(found.loc[shared], answers.loc[shared])


def _equal(a: pd.Series, b: pd.Series) -> bool:
    # A column that had an empty cell is read as 1.0 where the other holds 1.
    if pd.api.types.is_numeric_dtype(a) and pd.api.types.is_numeric_dtype(b):
        return bool((a.astype(float) == b.astype(float)).all())
    return bool((a.astype(str) == b.astype(str)).all())


def _fingerprint(read: _Read, shown: Path | None, offered: Sequence[str]) -> str:
    """Of all that a competition consists of: its files, those that are shown in their place, answers and facts."""
    files = {name: read.folder / name for name in read.names}
    if shown is not None:
        files |= {f"{FILES}/{name}": shown / name for name in offered}
    digest = hashlib.sha256(f"{read.competition!r}\n".encode())
    digest.update(read.solution.to_csv(index=False).encode())
    for name, path in files.items():
        digest.update(f"{name}\0{sha256(path)}\n".encode())
    return digest.hexdigest()[:16]


def _stored(
    made: Hosted,
    downloads: Path,
    source: Path,
    solution: pd.DataFrame,
    answers: Mapping[str, pd.DataFrame],
    replace: bool,
) -> Hosted:
    if (made.folder / FACTS).exists():
        known = open_hosted(made.folder.parent.parent, made.slug)
        if _content(known) == _content(made):
            return known
        if not replace:
            raise UsageError(
                f"The arena already hosts '{made.slug}' with other content.",
                hint="Choose another name, or replace it with --replace.",
            )
    with atomic_folder(made.folder) as folder:
        for file in made.files:
            link_or_copy(downloads / file.name, folder / FILES / file.name)
        for file in made.hidden:
            link_or_copy(source / file.name, folder / HIDDEN / file.name)
        for name, table in {SOLUTION: solution, **{f"{ANSWERS}/{n}": t for n, t in answers.items()}}.items():
            _write_secret(folder / name, table)
        write_json(folder / FACTS, to_json(made))
    return open_hosted(made.folder.parent.parent, made.slug)


def _write_secret(path: Path, table: pd.DataFrame) -> None:
    path.parent.mkdir(exist_ok=True)
    table.to_csv(path, index=False)
    path.chmod(0o600)


def _content(made: Hosted) -> dict[str, object]:
    return {k: v for k, v in to_json(made).items() if k != "created"}
