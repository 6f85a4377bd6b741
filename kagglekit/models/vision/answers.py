"""From pixels to answers: the networks of an exported model as one torch module."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kagglekit.errors import StoreError
from kagglekit.models.vision.facts import Facts, Member
from kagglekit.models.vision.runtime import import_torch, quiet
from kagglekit.models.vision.weights import RANDOM, create_backbone

__all__ = ["mean_answer", "read_network"]


def mean_answer(facts: Facts, networks: Sequence[Any]) -> Any:
    """A torch module that gives the mean answer over networks and views.

    Values are averaged over views and over the networks of a bag as they were learnt, and over bags in their own unit,
    which is what fitted models and runs do.

    Its class is made in here, so that importing kagglekit does not import torch. It uses plain values only, and no name
    that a submodule of torch has too (`classes`): cloudpickle, by which fastai exports it, would take that along.
    """
    torch: Any = import_torch()
    everything, by_outputs = torch.eye(len(facts.columns), dtype=torch.float64), facts.average == "outputs"
    spread = [everything[[facts.columns.index(name) for name in member.columns]] for member in facts.members]
    answers = [_answer(facts, member) for member in facts.members]
    own_views = [list(member.views) for member in facts.members]
    bags = [[n for n, m in enumerate(facts.members) if m.bag == bag] for bag in sorted({m.bag for m in facts.members})]
    back = {"none": torch.clone, "log1p": torch.expm1, "log": torch.exp}[facts.transform]

    class MeanAnswer(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.networks = torch.nn.ModuleList(networks)
            for number, rows in enumerate(spread):
                self.register_buffer(f"spread_{number}", rows, persistent=False)

        def forward(self, x: Any) -> Any:
            total = 0
            for bag in bags:
                said = sum(self.said(number, x) @ getattr(self, f"spread_{number}") for number in bag)
                total = total + back(said / len(bag)) * len(bag)
            return total / len(self.networks)

        def said(self, number: int, x: Any) -> Any:
            if own_views[number]:
                x = x[:, own_views[number]]
            n, n_views = x.shape[0], x.shape[1]
            outputs = self.networks[number](x.flatten(0, 1)).double().reshape(n, n_views, -1)
            if by_outputs:
                return answers[number](outputs.mean(1))
            return answers[number](outputs.flatten(0, 1)).reshape(n, n_views, -1).mean(1)

    return MeanAnswer().eval()


def _answer(facts: Facts, member: Member) -> Any:
    """What is made of a network's outputs: a function of tensors of shape (n, n_outputs), all in double precision."""
    torch, n = import_torch(), len(member.columns)

    def ordinal(outputs: Any) -> Any:
        outputs = outputs[:, : n - 1]
        log = torch.nn.functional.logsigmoid
        none = torch.zeros_like(outputs[:, :1])
        return (torch.cat([none, log(outputs).cumsum(1)], 1) + torch.cat([log(-outputs), none], 1)).exp()

    def values(outputs: Any) -> Any:
        # A mean of a thousand million, such as a moment in time, has no digits left in single precision.
        by, plus = (torch.tensor(part, dtype=torch.float64, device=outputs.device) for part in (scale, mean))
        return outputs[:, :n] * by + plus

    mean, scale = ([float(v) for v in part] for part in (member.mean, member.scale))
    made = {
        "labels": lambda outputs: outputs[:, :n].softmax(1),
        "ordinal": ordinal,
        "yes-or-no": lambda outputs: outputs[:, :n].sigmoid(),
        "values": values,
    }
    return made[facts.kind]


def read_network(facts: Facts, member: Member, folder: Path) -> Any:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    with quiet():
        made = create_backbone(facts.arch, weights=RANDOM, num_classes=member.outputs, size=facts.size)
    try:
        made.model.load_state_dict(load_file(folder / member.file))
    except (SafetensorError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise StoreError(f"{folder / member.file} does not fit {facts.arch} of this timm: {reason}") from error
    torch = import_torch()
    return made.model.eval().to(memory_format=torch.channels_last)
