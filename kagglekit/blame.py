"""Where a submission came from: the file, the run, its code, data and folds; for a blend, each member's too."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from kagglekit.cleaning import corrections_words
from kagglekit.contracts import Run, Submission
from kagglekit.errors import StoreError, UsageError, nearest
from kagglekit.files import sha256
from kagglekit.ledger import Ledger
from kagglekit.store import Store

__all__ = ["Blame", "Member", "Sent", "blame", "find_run"]

_NOT_SETTINGS = ("model", "params", "members", "data", "folds")


@dataclass(frozen=True)
class Sent:
    """A submission, and whether its file is still there.

    Parameters
    ----------
    submission : Submission
    file : {"as sent", "changed since", "gone"}
    """

    submission: Submission
    file: str

    def words(self) -> str:
        """One line."""
        sent = self.submission
        cv = f"CV {sent.cv:.5f}" + (f" ± {sent.cv_se:.5f}" if sent.cv_se else "")
        scores = [
            f"{what} {v:.5f}" for what, v in (("public", sent.public), ("private", sent.private)) if v is not None
        ]
        return (
            f"Submission {sent.ref} ({sent.site}, {sent.status}), sent {sent.sent or 'at an unknown time'}: "
            f"{', '.join([cv, *scores])}\n  file {sent.file}, sha256 {sent.sha256} ({self.file})"
        )


@dataclass(frozen=True)
class Member:
    """A run inside a blend.

    Parameters
    ----------
    weight : float or None
        None where the method has no weights, such as a stack.
    run : Run
    members : tuple of Member
    """

    weight: float | None
    run: Run
    members: tuple[Member, ...]


@dataclass(frozen=True)
class Blame:
    """Everything that is known of how a run, and what was submitted of it, came to be.

    Parameters
    ----------
    sent : tuple of Sent
        Submissions of this run, oldest first.
    made : Member
        The run; its weight is 1.
    """

    sent: tuple[Sent, ...]
    made: Member

    def words(self) -> str:
        """Plain text: submissions, then the run, then its members, indented."""
        sent = [entry.words() for entry in self.sent] or ["Not submitted."]
        return "\n".join([*sent, "", *_member_words(self.made, None, 0)])

    def as_json(self) -> dict[str, Any]:
        """Plain JSON values; predictions are left out."""
        return {
            "submissions": [{**asdict(entry.submission), "file now": entry.file} for entry in self.sent],
            "run": _member_json(self.made),
        }


def blame(ref: str, store: Store, ledger: Ledger, folder: Path) -> Blame:
    """Trace a submission, a run or an experiment back to all that it was made from.

    Parameters
    ----------
    ref : str
        A submission's reference, a run's id, or an experiment's or ensemble's name (its newest run).
    store : Store
    ledger : Ledger
    folder : Path
        Where submission files lie.

    Raises
    ------
    UsageError
        Nothing goes by that name.
    StoreError
        A run's files were changed since, or a member is not there.
    """
    run = store.load(find_run(ref, store, ledger))
    submissions = [s for s in ledger.submissions() if s.run == run.id]
    named = [s for s in submissions if s.ref == ref]
    return Blame(tuple(_sent(s, folder) for s in named or submissions), _member(None, run, store))


def find_run(ref: str, store: Store, ledger: Ledger) -> str:
    """The id of the run that a submission's reference, a run's id or an experiment's name stands for.

    Raises
    ------
    UsageError
        Nothing goes by that name, or the run of that submission is not in the store.
    """
    submissions = ledger.submissions()
    for sent in reversed(submissions):
        if sent.ref == ref:
            if not store.has(sent.run):
                raise UsageError(
                    f"Submission {ref} was made by the run {sent.run}, which is not in {store.folder}.",
                    hint="Bring that folder back: nothing else knows what it was made from.",
                )
            return sent.run
    if store.has(ref):
        return ref
    if named := store.find(ref):
        return named[-1]
    ids = store.ids()
    known = [*ids, *{i.rpartition("-")[0] for i in ids}, *(s.ref for s in submissions)]
    raise UsageError(f"No submission, run or experiment is called '{ref}'.", hint=nearest(ref, known))


def _sent(submission: Submission, folder: Path) -> Sent:
    path = folder / submission.file
    if not path.is_file():
        return Sent(submission, "gone")
    return Sent(submission, "as sent" if sha256(path) == submission.sha256 else "changed since")


def _member(weight: float | None, run: Run, store: Store) -> Member:
    inside = [_loaded(run, identity, store) for identity in run.settings.get("members", ())]
    members = [_member(run.weights.get(other.name, 0.0) if run.weights else None, other, store) for other in inside]
    return Member(weight, run, tuple(sorted(members, key=lambda m: (-(m.weight or 0.0), m.run.name))))


def _loaded(run: Run, member: str, store: Store) -> Run:
    if not store.has(member):
        raise StoreError(f"{run.id} has the member {member}, which is not in {store.folder}.", hint="Bring it back.")
    return store.load(member)


def _member_words(member: Member, around: Run | None, depth: int) -> list[str]:
    """The lines of a run; what it shares with the blend around it is not said twice."""
    run = member.run
    weight = "" if member.weight is None else f", weight {member.weight:.4f}"
    said = [] if around is None else _made_with(around)
    made_with = [line for line in _made_with(run) if line not in said]
    facts = [*_facts(run), *made_with] if made_with else [*_facts(run), "  data, code and packages as above"]
    pad = "  " * depth
    lines = [f"Run {run.id} ({run.kind}{weight}): {run.metric} {run.score:.5f}{_honest(run)}", *facts]
    inner = [line for m in member.members for line in _member_words(m, run, depth + 1)]
    return [f"{pad}{line}" for line in lines] + inner


def _honest(run: Run) -> str:
    error = f" ± {run.standard_error:.5f}" if len(run.scores) > 1 else ""
    return error + (f" (on the rows that chose the weights: {run.fit_score:.5f})" if run.fit_score is not None else "")


def _facts(run: Run) -> list[str]:
    """What is a run's own."""
    return [
        f"  why      {run.hypothesis}" + (f" (against {run.parent})" if run.parent else ""),
        f"  model    {run.settings.get('method') or run.settings['model']}: {_settings(run)}",
        *(f"  weights  {origin}" for origin in run.pretrained),
        f"  made     {run.created or 'at an unknown time'}, in {run.seconds:.0f} s",
    ]


def _made_with(run: Run) -> list[str]:
    """What a run shares with others of its time."""
    versions = dict(run.versions)
    version, source = versions.pop("kagglekit", "?"), versions.pop("kagglekit source", "not kept")
    commit = run.git.get("commit", "")
    dirty = " with uncommitted changes" if run.git.get("dirty") == "True" else ""
    code = f"git {commit[:12]}{dirty}" if commit else "not in git"
    return [
        f"  data     {run.data}, folds {run.folds}, features.py {run.features or 'none kept'}",
        f"  code     kagglekit {version} (source {source}), {code}",
        f"  packages {', '.join(f'{name} {v}' for name, v in versions.items())}",
    ]


def _settings(run: Run) -> str:
    own = {k: v for k, v in run.settings.items() if k not in (*_NOT_SETTINGS, "method") and v not in (None, [])}
    if "cleaning" in own:
        own["cleaning"] = f"({corrections_words(own['cleaning'])})"
    return ", ".join(f"{k} {v}" for k, v in {**run.settings.get("params", {}), **own}.items()) or "no settings"


def _member_json(member: Member) -> dict[str, Any]:
    run = member.run
    facts = {k: v for k, v in run.__dict__.items() if k not in ("oof", "test", "study")}
    plain = {k: list(v) if isinstance(v, Sequence) and not isinstance(v, str) else v for k, v in facts.items()}
    return {
        "id": run.id,
        "weight": member.weight,
        "score": run.score,
        **plain,
        "members": [_member_json(m) for m in member.members],
    }
