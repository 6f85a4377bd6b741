import pytest

from kagglekit.models.vision.folding import answers
from kagglekit.models.vision.runtime import import_timm, import_torch
from kagglekit.models.vision.still import hold_still, still_norms

FAMILIES = [
    "tf_efficientnet_lite0",
    "resnet10t",
    "mobilenetv3_small_050",
    "regnetx_002",
    "densenet121",
    "convnext_atto",
]


def model_of(arch, **settings):
    """In training mode, in double precision, with statistics that have seen something."""
    timm, torch = import_timm(), import_torch()
    torch.manual_seed(0)
    model = timm.create_model(arch, pretrained=False, num_classes=4, drop_rate=0.0, **settings).double().train()
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.8, 1.2)
            torch.nn.init.uniform_(module.weight, 0.8, 1.2)
            torch.nn.init.normal_(module.bias, 0, 0.1)
    hold_still(model)
    return model


def gradients(model, n=2, size=64):
    torch = import_torch()
    x = torch.randn(n, 3, size, size, generator=torch.Generator().manual_seed(1)).to(next(model.parameters()))
    logits = model(x.contiguous(memory_format=torch.channels_last))
    loss = torch.nn.functional.cross_entropy(logits, torch.arange(n) % 4)
    loss.backward()
    found = {name: p.grad for name, p in model.named_parameters()}
    model.zero_grad(set_to_none=True)
    return float(loss.detach()), found


def touched(model):
    return [name for name, module in model.named_modules() if "forward" in vars(module)]


@pytest.mark.parametrize("arch", FAMILIES)
def test_loss_and_gradients_are_those_of_the_model(arch):
    torch = import_torch()
    model = model_of(arch)
    loss, expected = gradients(model)
    with still_norms(model, 64):
        assert bool(touched(model)) == (arch != "convnext_atto")  # which has no batch normalisation
        merged, found = gradients(model)
    assert merged == pytest.approx(loss, rel=1e-9)
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient, rtol=1e-6, atol=1e-9 * float(gradient.abs().max()) + 1e-12)


def test_every_normalisation_of_a_small_network_is_merged_and_set_free_again():
    torch = import_torch()
    model = model_of("tf_efficientnet_lite0")
    norms = [m for m in model.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(RuntimeError, match="killed"), still_norms(model, 64):
        assert len(touched(model)) == 2 * len(norms)
        gradients(model)
        raise RuntimeError("killed")
    assert touched(model) == []
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_less_than_two_thirds_of_the_memory_are_kept_for_the_backward_pass():
    torch = import_torch()
    model = model_of("tf_efficientnet_lite0").float()

    def kept():
        bytes_of = {}

        def keep(tensor):
            storage = tensor.untyped_storage()
            bytes_of[storage.data_ptr()] = storage.nbytes()
            return tensor

        x = torch.rand(8, 3, 128, 128)
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            held = model(x).sum()  # held until all are counted, so that no address is given twice
        return sum(bytes_of.values()) if held.requires_grad else 0

    plain = kept()
    with still_norms(model, 128):
        assert 0 < kept() < plain * 2 / 3


def test_frozen_weights_get_no_gradient():
    model = model_of("tf_efficientnet_lite0")
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    model.classifier.requires_grad_(True)
    model.blocks[3][0].bn1.requires_grad_(True)
    _, expected = gradients(model)
    with still_norms(model, 64):
        _, found = gradients(model)
    learnt = {name for name, gradient in found.items() if gradient is not None}
    assert learnt == {name for name, gradient in expected.items() if gradient is not None}
    assert "blocks.3.0.bn1.bias" in learnt


def crossed(torch):
    class Crossed(torch.nn.Module):
        """Its normalisation is named after the convolution and used before it; its head is new and answers zero."""

        def __init__(self):
            super().__init__()
            self.conv, self.bn = torch.nn.Conv2d(3, 3, 1), torch.nn.BatchNorm2d(3)
            self.bn.running_mean.fill_(1.0)
            self.head = torch.nn.Linear(3, 2)
            torch.nn.init.zeros_(self.head.weight)

        def forward_features(self, x):
            return self.conv(self.bn(x)).relu()

        def forward_head(self, x, pre_logits=False):
            x = x.mean((2, 3))
            return x if pre_logits else self.head(x)

        def forward(self, x):
            return self.forward_head(self.forward_features(x))

    return Crossed()


def test_a_model_that_it_would_change_is_left_as_it_is():
    model = crossed(import_torch()).eval()
    with still_norms(model, 8):
        assert touched(model) == []


@pytest.mark.parametrize("change", ["elsewhere", "reflected", "no statistics"])
def test_what_it_cannot_compute_stays_as_it_is(change):
    torch = import_torch()
    padding = "reflect" if change == "reflected" else "zeros"
    model = torch.nn.Sequential(
        torch.nn.Conv2d(3, 4, 3, padding=1, padding_mode=padding),
        torch.nn.BatchNorm2d(4, track_running_stats=change != "no statistics"),
    )
    if change == "elsewhere":
        model.to("meta")
    with still_norms(model, 8):
        assert touched(model) == []


def test_a_block_within_a_block_and_a_forward_of_others_stay_as_they_are():
    model = model_of("resnet10t")
    own = model.layer1[0].conv1.forward = model.layer1[0].conv1.forward
    with still_norms(model, 64):
        outer = touched(model)
        with still_norms(model, 64):
            assert touched(model) == outer
        assert touched(model) == outer
    assert touched(model) == ["layer1.0.conv1"]
    assert model.layer1[0].conv1.forward == own


def test_a_bias_before_the_normalisation_counts():
    torch = import_torch()
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4)).double()
    model[1].running_mean.normal_()
    hold_still(model)
    x = torch.randn(2, 3, 8, 8, dtype=torch.double)
    expected = model(x)
    with still_norms(model, 8):
        assert touched(model)
        torch.testing.assert_close(model(x), expected)


def test_comparing_answers_changes_no_mode_and_draws_no_chance():
    torch = import_torch()
    model = model_of("resnet10t")
    modes, state = [m.training for m in model.modules()], torch.get_rng_state()
    answers(model, 64)
    assert [m.training for m in model.modules()] == modes
    assert torch.equal(torch.get_rng_state(), state)
