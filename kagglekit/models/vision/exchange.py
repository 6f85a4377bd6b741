"""An exported model in the forms of other programs: fastai's export.pkl, and ONNX."""

from __future__ import annotations

import json
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from kagglekit.errors import MissingExtra, StoreError, UsageError
from kagglekit.files import atomic
from kagglekit.models.vision.exported import ExportedModel
from kagglekit.models.vision.facts import Facts
from kagglekit.models.vision.runtime import contained_import, import_torch

__all__ = ["Opened", "write_fastai", "write_onnx"]

_SAME = 1e-4
_OPSET = 18


class Opened:
    """What a fastai pipeline begins with: a file as what the networks are given, of shape (n_views, 3, height, width).

    fastai's own `Resize` rounds otherwise, and then predicts otherwise.

    Parameters
    ----------
    facts : dict
        What `model.json` says.
    """

    def __init__(self, facts: dict[str, Any]) -> None:
        self.facts = facts

    def __call__(self, file: Any) -> Any:
        """The pixels, as fastai's type for images."""
        from fastai.torch_core import TensorImage

        facts = Facts.model_validate_json(json.dumps(self.facts))
        return TensorImage(ExportedModel(facts, import_torch().device("cpu"), ()).pixels([file])[0])


def write_fastai(model: ExportedModel, path: Path, probe: Path) -> None:
    """Write a Learner that fastai's `load_learner` opens, with `predict` and `get_preds` as usual.

    It is a pickle: whoever opens it runs what is in it. Opening it needs kagglekit beside fastai, for preprocessing.

    Parameters
    ----------
    model : ExportedModel
    path : Path
    probe : Path
        Any image; fastai makes no data without one.

    Raises
    ------
    StoreError
        It predicts otherwise than the model, or fastai cannot be pickled as it is installed.
    MissingExtra
    """
    with contained_import("export.pkl"):
        from fastai.callback.progress import ProgressCallback
        from fastai.data.block import CategoryBlock, DataBlock, TransformBlock
        from fastai.learner import Learner, load_learner
        from fastai.losses import CrossEntropyLossFlat
    torch, facts = import_torch(), model.facts
    if not facts.has_labels:
        raise UsageError(
            "export.pkl is written for models of labels.", hint="Leave out --fastai; load() reads the folder."
        )
    opened = Opened(facts.model_dump(mode="json"))
    names = [str(label) for label in facts.columns]
    block = DataBlock(
        blocks=(TransformBlock(type_tfms=[opened]), CategoryBlock(vocab=names, sort=False)),
        get_y=_First(names[0]),
        splitter=_nothing_held_out,
    )
    loaders = block.dataloaders([str(probe)] * 2, bs=1, num_workers=0, device=torch.device("cpu"))
    # No callbacks of its own: what a Learner carries is pickled too, and CSVLogger's open file cannot be.
    with tempfile.TemporaryDirectory(dir=path.parent) as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # export and load_learner warn of pickles, which ours says in its own words
        with _on_cpu(model) as module:
            learner = Learner(loaders, _log_of(module), loss_func=CrossEntropyLossFlat(), path=Path(folder))
            _exported(learner)
            expected = _answered(module, opened(str(probe))[None])
        again = load_learner(Path(folder) / "export.pkl")
        again.remove_cb(ProgressCallback)
        said = again.predict(str(probe))[2].numpy()
        _check("export.pkl", facts, said, expected)
        (Path(folder) / "export.pkl").replace(path)


def _exported(learner: Any) -> None:
    try:
        learner.export()
    except TypeError as error:
        raise StoreError(
            f"fastai cannot export its Learner here: {error}.",
            hint="plum-dispatch 2.10.0 and 2.10.1 are known for it: pip install 'plum-dispatch!=2.10.0,!=2.10.1'.",
        ) from error


class _First:
    """The label of every row; a method of its own, so that a pickle needs no local function."""

    def __init__(self, label: str) -> None:
        self.label = label

    def __call__(self, _: Any) -> str:
        return self.label


def _nothing_held_out(items: Any) -> tuple[list[int], list[int]]:
    return list(range(len(items))), []


def _log_of(module: Any) -> Any:
    """The logarithm of probabilities, which fastai's softmax turns back into them."""
    torch: Any = import_torch()

    class LogProbabilities(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inside = module

        def forward(self, x: Any) -> Any:
            return self.inside(x.as_subclass(torch.Tensor)).clamp_min(1e-30).log().float()

    return LogProbabilities().eval()


def write_onnx(model: ExportedModel, path: Path, probe: Path) -> None:
    """Write one ONNX graph: "pixels" (n, n_views, 3, height, width) in, "answers" (n, n_columns) out.

    Parameters
    ----------
    model : ExportedModel
    path : Path
    probe : Path
        An image that is predicted by both to compare.

    Raises
    ------
    StoreError
        onnxruntime predicts otherwise than the model.
    MissingExtra
    """
    torch: Any = import_torch()
    try:
        import onnx
        import onnxruntime
        import onnxscript
    except ImportError as error:
        raise MissingExtra("ONNX", error.name or "onnx", "onnx") from error
    del onnx, onnxscript  # torch's exporter imports them by itself
    inside = model.pixels([probe]).cpu()

    class Answers(torch.nn.Module):
        def __init__(self, module: Any) -> None:
            super().__init__()
            self.inside = module

        def forward(self, pixels: Any) -> Any:
            return self.inside(pixels).float()

    with _on_cpu(model) as module, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter warns of its own insides
        made = torch.onnx.export(
            Answers(module).eval(),
            (inside.repeat(2, 1, 1, 1, 1),),
            dynamo=True,
            verbose=False,
            opset_version=_OPSET,
            input_names=["pixels"],
            output_names=["answers"],
            dynamic_shapes=({0: torch.export.Dim("n", min=1)},),
        )
        expected = _answered(module, inside)
    graph = made.model_proto.SerializeToString()
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    said = session.run(["answers"], {"pixels": inside.numpy()})[0]
    _check("The ONNX graph", model.facts, said, expected)
    with atomic(path) as file:
        file.write(graph)


@contextmanager
def _on_cpu(model: ExportedModel) -> Iterator[Any]:
    """The model's module there for as long as the block runs."""
    try:
        yield model.module.cpu()
    finally:
        model.module.to(model.device)


def _answered(module: Any, pixels: Any) -> np.ndarray:
    torch = import_torch()
    with torch.inference_mode():
        return np.asarray(module(pixels.as_subclass(torch.Tensor)))


def _check(what: str, facts: Facts, said: Any, expected: Any) -> None:
    off = facts.distance(np.reshape(said, np.shape(expected)), expected)
    if not off <= _SAME:
        raise StoreError(f"{what} predicts otherwise than the model, by up to {off:.2g}; it was not written.")
