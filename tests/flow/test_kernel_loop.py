"""Push, watch, pull, blend, submit - on the arena, with a runner that trains in this process."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
import pytest
from fakes import Remembering
from flowers import PIPELINE, SLUG, write_pipeline
from kernel_runner import RunsHere

from kagglekit.arena import hosting
from kagglekit.arena.kernel_store import KernelStore
from kagglekit.arena.server import Arena
from kagglekit.errors import KernelFailed, UsageError
from kagglekit.files import read_json, sha256, write_json
from kagglekit.flow import Flow
from kagglekit.gateway import Gateway, Patience, Site
from kagglekit.kernel_flow import KernelFlow, Options
from kagglekit.workspace import Workspace

CPU = Options(accelerator="none")
PATIENT = Patience(read=300.0, budget=300.0, first_pause=0.02, longest_pause=2.0, settle=0.3)


@contextmanager
def kernels(
    root: Path, spoil: Callable[[Path], None] = lambda output: None, pipeline: str = PIPELINE
) -> Iterator[KernelFlow]:
    """An arena that hosts the flowers and runs notebooks, and the flow's door to it."""
    write_pipeline(root, pipeline)
    arena, machines = root / ".arena", root / "machines"
    with (
        Arena(arena, runner=RunsHere(arena, machines, spoil)) as running,
        Gateway(Site("arena", running.url), running.token, patience=PATIENT) as gateway,
    ):
        flow = Flow("flowers", Workspace(root, "arena"), Remembering())
        flow.download(gateway)
        yield KernelFlow(flow, gateway)


@pytest.fixture
def root(tmp_path: Path, flowers_folder: Path) -> Path:
    hosting.create(flowers_folder, tmp_path / ".arena", SLUG, metric="accuracy")
    return tmp_path


def spoiled(root: Path, spoil: Callable[[Path], None]) -> str:
    """Why a run is refused whose folder was changed on the way; nothing of it may be here then."""
    with kernels(root, lambda output: spoil(next((output / "runs" / SLUG).iterdir()))) as site:
        site.push(["forest"], CPU)
        found = site.pull(["forest"])
        assert site.flow.runs() == {} and not any(found.taken.values())
    (why,) = found.refused.values()
    return why


def test_what_was_trained_there_is_blended_here(root):
    with kernels(root) as site:
        (session,) = site.push(["forest", "larger"], CPU)
        assert session.url.endswith("/kagglekit-flowers-forest-larger")
        assert [s.was_sent for s in session.synced] == [True]
        assert not any(s.was_sent for s in site.sync(["forest", "larger"]))
        (watched,) = site.watch(["forest", "larger"], pause=0.01)
        assert any("do more trees help?" in line for line in site.flow.progress.said)
        assert watched.status == "COMPLETE"
        found = site.pull(["forest", "larger"])
        assert found.refused == {} and all("run" in what for what in found.taken.values())
        assert site.pull(["forest", "larger"]).taken == {run: [] for run in found.taken}
        blend = site.flow.ensemble("blend")
        assert len(blend.weights) == 2
        (here,) = site.flow.train(["majority"]).values()
        assert here.folds == site.flow.runs()["forest"].folds
        with pytest.raises(UsageError, match="trained already"):
            site.push(["forest", "larger"], CPU)
    record = KernelStore(root / ".arena" / "arena.db").find("kagglekit-flowers-forest-larger")
    assert record is not None and record.version == 1
    assert record.facts["enableInternet"] is False and record.facts["isPrivate"] is True
    assert record.facts["datasetDataSources"] == ["competitor/kagglekit-wheels"]


def test_a_second_session_goes_on_after_the_first_and_trains_no_fold_twice(root):
    with kernels(root) as site:
        (session,) = site.push(["forest"], Options("none", probe=True))
        assert session.plan.fits == {"forest": ["fold-0"]}
        assert list(site.pull(["forest"]).taken.values()) == [["fold-0"]]
        assert site.left(["forest"]) == {"forest": ["fold-1", "fold-2"]}
        runs = site.run(["forest"], CPU, pause=0.01)
        assert list(runs) == ["forest"] and len(runs["forest"].scores) == 3
        said = "\n".join(site.flow.progress.said)
        assert "2 of 2 fits" in said and "measured on none" in said
    record = KernelStore(root / ".arena" / "arena.db").find("kagglekit-flowers-forest")
    assert record is not None and record.facts["kernelDataSources"] == ["competitor/kagglekit-flowers-forest"]
    second = read_json(root / "machines" / str(record.id) / "working" / "times.json")
    assert [line["fold"] for line in second] == ["fold-1", "fold-2"]


def test_what_was_begun_here_is_finished_there(root):
    with kernels(root) as site:
        site.push(["forest"], Options("none", probe=True))
        site.pull(["forest"])
        site.flow.train(["forest"])  # goes on with the pulled fold
        assert site.left(["forest"]) == {"forest": []}


LADDER = """
[ladder]
start = "forest"

[[ladder.rungs]]
name = "leaves"
why = "how small may leaves be?"
min_samples_leaf = [2, 5]

[[ladder.rungs]]
name = "trees"
why = "do more trees help?"
n_estimators = [30]
"""


def test_a_candidate_of_the_ladder_is_trained_there_and_found_by_the_climb(root):
    with kernels(root, pipeline=PIPELINE + LADDER) as site:
        with pytest.raises(UsageError, match="'leaves-5' is a candidate of the ladder, and no climb has come"):
            site.push(["leaves-5"], CPU)
        site.flow.train(["forest"])
        site.flow.ladder(full=False, minutes=0)
        site = KernelFlow(Flow("flowers", site.flow.workspace, Remembering()), site.gateway)
        run = site.run(["leaves-5"], CPU, pause=0.01)["leaves-5"]
        assert (run.parent, len(run.scores), run.settings["params"]["min_samples_leaf"]) == ("forest", 3, 5)
        written = {p: p.stat().st_mtime_ns for p in site.flow.store.folder.glob("leaves-5-*/*/fold.json")}
        found = site.flow.ladder(full=False)
        assert {s.experiment for s in found.steps} >= {"forest", "leaves-2", "leaves-5"}
        assert {p: p.stat().st_mtime_ns for p in written} == written and len(written) == 3


def test_a_notebook_that_submits_is_one_for_each_experiment(root):
    with kernels(root) as site:
        options = Options("none", submit=True)
        sessions = site.push(["forest", "majority"], options)
        assert [s.slug for s in sessions] == ["kagglekit-flowers-submit-majority", "kagglekit-flowers-submit-forest"]
        site.pull(["forest", "majority"], submit=True)
        by_code = site._submit_code(site.flow.pipeline.experiment("forest"))
        site.flow.ledger.path.unlink()  # as if this process had been killed before it wrote it
        assert site._submit_code(site.flow.pipeline.experiment("forest")).ref == by_code.ref
        site.flow.ledger.path.unlink()
        (second, first) = site.submit(["forest", "majority"])
        assert first.public is not None and second.run.startswith("majority-")
        assert [s.ref for s in site.submit(["forest", "majority"])] == [second.ref, first.ref]
        assert by_code.public == pytest.approx(first.public, abs=1e-5)
        written = root / "machines" / "2" / "working" / "submission.csv"
        assert written.read_bytes() == (root / "submissions" / "flowers" / f"{first.run}.csv").read_bytes()


def test_an_error_tells_its_reason_and_the_last_lines(root):
    def fail(output: Path) -> None:
        raise MemoryError("no room for the batch")

    with kernels(root, fail) as site:
        with pytest.raises(KernelFailed, match=r"(?s)MemoryError.*last lines.*no room for the batch"):
            site.run(["majority"], CPU, pause=0.01)
        with pytest.raises(UsageError, match="is error: there is nothing to pull"):
            site.pull(["majority"])


def test_a_fold_whose_files_were_changed_is_refused(root):
    def spoil(run: Path) -> None:
        (run / "fold-0" / "oof.parquet").write_bytes((run / "fold-1" / "oof.parquet").read_bytes())

    assert "expected id" in spoiled(root, spoil)


def test_a_run_whose_hash_does_not_fit_is_refused(root):
    def spoil(run: Path) -> None:
        frame = pd.read_parquet(run / "fold-0" / "test.parquet")
        frame.iloc[0] = [1.0, 0.0, 0.0]
        frame.to_parquet(run / "fold-0" / "test.parquet")

    assert "not as it was written" in spoiled(root, spoil)


def test_better_scores_than_the_predictions_have_are_refused(root):
    def spoil(run: Path) -> None:
        facts = read_json(run / "run.json")
        write_json(run / "run.json", facts | {"scores": [1.0, 1.0, 1.0]})
        write_json(run / "COMPLETE", read_json(run / "COMPLETE") | {"run.json": sha256(run / "run.json")})

    assert "are not those of its predictions" in spoiled(root, spoil)


def test_other_folds_are_refused(root):
    def spoil(run: Path) -> None:
        write_json(run / "settings.json", read_json(run / "settings.json") | {"folds": "0" * 12})

    assert "made with other folds than are here" in spoiled(root, spoil)


def test_files_that_are_no_parts_of_a_run_stay_where_they_are(root):
    def add(output: Path) -> None:
        run = next((output / "runs" / SLUG).iterdir())
        (run / "model.pkl").write_bytes(b"cos\nsystem\n(S'true'\ntR.")
        (run / "fold-0" / "extra.pkl").write_bytes(b"x")
        (output / "runs" / "another").mkdir()
        (output / "runs" / "another" / "COMPLETE").write_text("{}")

    with kernels(root, add) as site:
        site.push(["forest"], CPU)
        (run,) = site.pull(["forest"]).taken
        assert not list((site.flow.store.folder).rglob("*.pkl"))
        assert site.flow.store.ids() == [run]


def test_the_commands_say_what_an_arena_that_runs_nothing_does(kagglekit, root):
    write_pipeline(root)
    said = kagglekit("kernel", "push", "flowers", "forest", "--accelerator", "none", "--dry-run")
    assert said.status == 0 and "Dry run: nothing was sent." in said.out and "3 of 3 fits" in said.out, said.err
    assert "competitor/kagglekit-wheels" in kagglekit("kernel", "sync", "flowers", "forest").out
    said = kagglekit("kernel", "pull", "flowers", "forest")
    assert said.status == 2 and "is not there: there is nothing to pull" in said.err
    said = kagglekit("kernel", "push", "flowers", "forest", "--accelerator", "p100")
    assert said.status == 2 and "retired" in said.err
    notebook = root / "build" / "kernels" / "kagglekit-flowers-forest" / "flowers-forest.ipynb"
    assert "petals tell the colour" in "".join(json.loads(notebook.read_text())["cells"][0]["source"])
