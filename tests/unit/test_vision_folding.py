import pytest

from kagglekit.models.vision.folding import fold_batch_norms
from kagglekit.models.vision.runtime import import_timm, import_torch


@pytest.mark.parametrize("arch", ["tf_efficientnet_lite0", "resnet10t", "convnext_atto", "vit_tiny_patch16_224"])
def test_a_folded_model_is_the_same_function(arch):
    timm, torch = import_timm(), import_torch()
    torch.manual_seed(0)
    model = timm.create_model(arch, pretrained=False, num_classes=0).eval()
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):  # fresh statistics would make folding trivial
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
    size = 224 if arch.startswith("vit") else 64
    x = torch.randn(2, 3, size, size)
    with torch.inference_mode():
        before = model(x)
        folded = fold_batch_norms(model, size)
        after = folded(x)
    assert folded is not model
    torch.testing.assert_close(after, before, rtol=1e-3, atol=1e-4)


def test_a_model_that_folding_would_change_is_left_alone():
    torch = import_torch()

    class Crossed(torch.nn.Module):
        """Its normalisation is named after the convolution and used before it."""

        def __init__(self) -> None:
            super().__init__()
            self.conv = torch.nn.Conv2d(3, 3, 1)
            self.bn = torch.nn.BatchNorm2d(3)
            self.bn.running_mean.fill_(1.0)

        def forward(self, x):
            return self.conv(self.bn(x)).relu()

    model = Crossed().eval()
    assert fold_batch_norms(model, 8) is model


def test_nothing_is_left_to_normalise_in_a_convolutional_model():
    timm, torch = import_timm(), import_torch()
    model = fold_batch_norms(timm.create_model("tf_efficientnet_lite0", pretrained=False).eval(), 64)
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in model.modules())
