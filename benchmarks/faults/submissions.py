"""Submissions whose answers are lost, or whose sender is killed between the calls."""

from __future__ import annotations

import random
import threading
from collections import Counter

import children
from meadow import write_answers
from world import SLUG, Row, World, processes, served

from kagglekit.arena.faults import Fault, Faults

__all__ = ["sent"]

_START, _PUT, _CREATE, _LIST = "/StartSubmissionUpload", "/upload/", "/CreateSubmission", "/ListSubmissions"


def _script(chance: random.Random) -> list[Fault]:
    """One or two losses somewhere on the way."""
    routes = [_START, _PUT, _CREATE, _CREATE, _CREATE, _LIST]
    return [Fault(chance.choice(["lose", "refuse"]), chance.choice(routes), times=chance.randint(1, 2)) for _ in "12"]


def sent(n: int) -> Row:
    """Lose answers, kill the sender when a fault strikes or at random, and run it again until it is through."""
    chance, context = random.Random(4), processes()
    victim: list[object] = []
    told = threading.Lock()

    def kill(fault: Fault) -> None:
        with told:
            if victim:
                victim.pop().kill()

    faults = Faults(seed=4, on_strike=kill)
    kills = 0
    with served(1000, faults, daily_limit=10_000) as world:
        for i in range(n):
            (world.folder / str(i)).mkdir()
            file = write_answers(world.folder / str(i) / "s.csv")
            words = (world.arena.url, world.arena.token, SLUG, file, f"round {i}", file.with_suffix(".sent"))
            faults.play(_script(chance))
            for attempt in range(20):
                child = context.Process(target=children.submit, args=words)
                child.start()
                how = chance.choice(["at a fault", "at random", "not"]) if attempt < 3 else "not"
                if how == "at a fault":
                    with told:
                        victim.append(child)
                child.join(chance.uniform(0.01, 0.5) if how == "at random" else None)
                with told:
                    victim.clear()
                if child.is_alive():
                    child.kill()
                child.join()
                kills += child.exitcode == -9
                if child.exitcode == 0:
                    break
        counts, lost = _counted(world, n)
    twice = sum(count - 1 for count in counts.values() if count > 1)
    figure = f"{twice} sent twice, {lost} lost, {len(faults.struck)} faults, {kills} kills"
    return Row(
        f"reply lost or killed between the submit calls ({n} times)", "never two", figure, not twice and not lost
    )


def _counted(world: World, n: int) -> tuple[Counter[str], int]:
    """Submissions of each round, and rounds without one that the sender knows of."""
    with world.gateway() as gateway:
        found = gateway._every_submission(SLUG)
    counts = Counter(s.message.rpartition(" ")[0] for s in found)
    refs = {s.message.rpartition(" ")[0]: s.ref for s in found}
    written = {f"round {i}": world.folder / str(i) / "s.sent" for i in range(n)}
    lost = sum(not path.exists() or refs.get(name) != path.read_text() for name, path in written.items())
    return counts, lost
