"""How fast an image model is on this machine: a short probe, kept for the next time."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from kagglekit.errors import ConfigError, StoreError
from kagglekit.files import read_json, write_json
from kagglekit.models.vision.runtime import import_timm, import_torch, pick_device, pick_precision, quiet
from kagglekit.models.vision.still import hold_still, still_norms
from kagglekit.progress import Progress, Silent
from kagglekit.zoo.results import Result

__all__ = ["Speed", "counts", "known_speeds", "probe_speeds", "speeds_file"]

_SECONDS = 0.5  # that the repeats of one measurement take at least
_REPEATS = 20
_BATCH = {"cpu": 4, "cuda": 64}
_FILE = "zoo.json"
_GPU = Path("/dev/nvidia0")


@dataclass(frozen=True)
class Speed:
    """Milliseconds for one image of the size that the accuracy was published for.

    Parameters
    ----------
    predict_ms, train_ms : float
        Forwards; and forwards, backwards and a step of the optimizer.
    """

    predict_ms: float
    train_ms: float


def speeds_file(home: Path | None = None) -> Path:
    """Where probes are kept: a folder of the user's, as they belong to the machine and not to a competition."""
    root = os.environ.get("XDG_CACHE_HOME") if home is None else None
    return (Path(root) if root else (home or Path.home()) / ".cache") / "kagglekit" / _FILE


def known_speeds(path: Path, machine: str | None = None) -> dict[str, Speed]:
    """What was probed on this machine before, by model; nothing where the file is missing or damaged."""
    everything = _read(path)
    kept = everything.get(machine or here(), {}) if everything else {}
    try:
        return {model: Speed(**one) for model, one in kept.items()}
    except (TypeError, AttributeError):
        return {}  # another version wrote it


def probe_speeds(results: Iterable[Result], path: Path, *, progress: Progress | None = None) -> dict[str, Speed]:
    """Probe those models that were not probed here yet; each is kept as soon as it is measured.

    Parameters
    ----------
    results : iterable of Result
    path : Path
        See `speeds_file`.
    progress : Progress, optional

    Returns
    -------
    dict of str to Speed
        By model. One that cannot be built or does not fit into memory is said and left out.

    Raises
    ------
    MissingExtra
        torch or timm is not installed.

    Notes
    -----
    Random weights, fp32 on a CPU and fp16 or bf16 on a GPU, at the size of the published accuracy: no images are read,
    so this is the model's step alone. Two models that differ by a tenth may be equally fast on a busy machine.
    """
    progress, results = progress or Silent(), list(results)
    machine = here()
    found = known_speeds(path, machine)
    missing = [one for one in results if one.model not in found]
    with progress.task("probing models", len(missing)) as bar:
        for one in missing:
            try:
                found[one.model] = probe_speed(one.model, one.size)
            except (ConfigError, RuntimeError, AssertionError, ValueError) as error:
                progress.say(f"{one.model} cannot be probed: {(str(error) or type(error).__name__).splitlines()[0]}")
            else:
                everything = _read(path)
                # Another process may have probed other models meanwhile.
                everything.setdefault(machine, {})[one.model] = asdict(found[one.model])
                path.parent.mkdir(parents=True, exist_ok=True)
                write_json(path, everything)
                bar.note(f"{one.model}: {found[one.model].train_ms:.1f} ms an image in training")
            bar.advance()
    return found


def probe_speed(model: str, size: int) -> Speed:
    """Time a model's forward pass and, as `timm` experiments train, its training step on random images.

    Raises
    ------
    ConfigError
        timm has no such architecture.
    """
    torch, device = import_torch(), pick_device(None)
    net = _build(model, size).to(device, memory_format=torch.channels_last)
    n = _BATCH.get(device.type, 4)
    images = torch.randn(n, 3, size, size, device=device).to(memory_format=torch.channels_last)
    labels = torch.zeros(n, dtype=torch.long, device=device)
    capability = torch.cuda.get_device_capability(device) if device.type == "cuda" else None
    kind = {"fp16": torch.float16, "bf16": torch.bfloat16}.get(pick_precision("auto", capability))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.0)

    def forward() -> Any:
        with torch.autocast(device.type, dtype=kind, enabled=kind is not None):
            return net(images)

    def predict() -> None:
        with torch.inference_mode():
            forward()

    def step() -> None:
        torch.nn.functional.cross_entropy(forward().float(), labels).backward()
        optimizer.step()
        optimizer.zero_grad()

    wait = torch.cuda.synchronize if device.type == "cuda" else _nothing
    net.eval()
    predicted = _milliseconds(predict, wait) / n
    hold_still(net.train())
    with still_norms(net, size):
        trained = _milliseconds(step, wait) / n
    return Speed(round(predicted, 3), round(trained, 3))


def counts(model: str, size: int) -> tuple[float, float]:
    """Parameters in millions, and multiply-adds of one image in thousand millions; nothing is allocated or computed.

    Raises
    ------
    ConfigError
        timm has no such architecture.
    """
    torch = import_torch()
    from torch.utils.flop_counter import FlopCounterMode

    with torch.device("meta"):
        net = _build(model, size).eval()
        images = torch.empty(1, 3, size, size)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        net(images)
    return sum(p.numel() for p in net.parameters()) / 1e6, float(counter.get_total_flops()) / 2e9


def _build(model: str, size: int) -> Any:
    timm = import_timm()
    arch = model.partition(".")[0]
    if not timm.is_model(arch):
        raise ConfigError(f"timm has no architecture '{arch}'.")
    cfg = timm.get_pretrained_cfg(model)
    with quiet():
        options = {"img_size": size} if cfg is not None and cfg.fixed_input_size else {}
        return timm.create_model(arch, pretrained=False, **options)


def _milliseconds(action: Callable[[], None], wait: Callable[[], None]) -> float:
    """The median of a few repeats after one that warms up."""
    action()
    wait()
    taken: list[float] = []
    while not taken or (len(taken) < _REPEATS and sum(taken) < _SECONDS):
        start = time.perf_counter()
        action()
        wait()
        taken.append(time.perf_counter() - start)
    return 1000 * sorted(taken)[len(taken) // 2]


def _nothing() -> None:
    """A CPU is never behind."""


def here() -> str:
    """This machine, as far as it decides how fast a model is; torch is asked only where there is a GPU."""
    words = [platform.node(), platform.machine(), f"{os.cpu_count()} cores"]
    if _GPU.exists():
        torch = import_torch()
        words += [torch.cuda.get_device_name()] * torch.cuda.is_available()
    return ", ".join(words)


def _read(path: Path) -> dict[str, dict[str, dict[str, float]]]:
    """What the file holds in the form that is written here; nothing of any other."""
    try:
        kept = read_json(path) if path.is_file() else {}
        return {str(m): {str(k): asdict(Speed(**one)) for k, one in own.items()} for m, own in kept.items()}
    except (StoreError, AttributeError, TypeError):
        return {}
