"""Grad-CAM against its plain definition, and where it cannot be."""

from __future__ import annotations

import numpy as np
import pytest

from kagglekit.errors import UsageError
from kagglekit.models.vision.gradcam import grad_cam
from kagglekit.models.vision.runtime import import_timm, import_torch, quiet


def network(arch: str):
    import_torch().manual_seed(0)
    with quiet():
        return import_timm().create_model(arch, num_classes=3).eval()


def pictures(size: int):
    torch = import_torch()
    return torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(1))


def test_under_a_linear_head_it_is_the_weighted_sum_of_the_last_map():
    torch, model, x = import_torch(), network("test_resnet"), pictures(96)
    with torch.no_grad():
        features = model.forward_features(x)
        weights = model.get_classifier().weight[[2, 0]]
        heat = (features * weights[:, :, None, None]).sum(1).clamp_min(0)
        heat = torch.nn.functional.interpolate(heat[:, None], (96, 96), mode="bilinear")[:, 0]
        expected = (heat / heat.amax((1, 2), keepdim=True).clamp_min(1e-30)).numpy()
    np.testing.assert_allclose(grad_cam(model, x, [2, 0]), expected, atol=1e-5)


@pytest.mark.parametrize("arch", ["test_vit", "test_mambaout", "test_convnext", "test_efficientnet"])
def test_channels_last_and_patches_have_their_places(arch):
    model, size = network(arch), 160
    x = pictures(size)
    heat = grad_cam(model, x, [1, 1])
    assert heat.shape == (2, size, size)
    assert np.isfinite(heat).all()
    assert heat.min() >= 0
    assert heat.max() == pytest.approx(1)
    np.testing.assert_allclose(grad_cam(model, x[:1], [1])[0], heat[0], atol=1e-3)
    assert all(p.grad is None for p in model.parameters()), "nothing is left behind"


def test_a_network_without_places_is_refused_in_one_line():
    torch = import_torch()
    with pytest.raises(UsageError, match="Linear has no last feature map"):
        grad_cam(torch.nn.Linear(3, 3), pictures(8), [0, 0])
