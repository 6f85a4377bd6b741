import pytest

from kagglekit.models.vision.convolution import Geometry, convolve
from kagglekit.models.vision.runtime import import_torch


@pytest.mark.parametrize("bounds", [None, (0.0, 6.0), (0.0, float("inf"))])
@pytest.mark.parametrize(
    ("kernel", "stride", "padding", "groups", "same"),
    [
        ((3, 3), (1, 1), (1, 1), 1, False),
        ((1, 1), (1, 1), (0, 0), 1, False),
        ((5, 5), (1, 1), (2, 2), 4, False),
        ((7, 7), (2, 2), (3, 3), 4, False),
        ((3, 5), (2, 1), (1, 2), 4, False),
        ((5, 5), (2, 2), (0, 0), 4, True),
        ((3, 3), (2, 2), (0, 0), 1, True),
    ],
)
def test_the_gradients_are_those_of_finite_differences(kernel, stride, padding, groups, same, bounds):
    torch = import_torch()
    generator = torch.Generator().manual_seed(0)

    def random(*shape):
        return (3 * torch.randn(*shape, generator=generator, dtype=torch.double)).requires_grad_()

    geometry = Geometry(kernel, stride, padding, (1, 1), groups, same, bounds)
    x, weight, bias = random(2, 4, 8, 7), random(4, 4 // groups, *kernel), random(4)
    assert torch.autograd.gradcheck(lambda *given: convolve(*given, geometry), (x, weight, bias))


@pytest.mark.parametrize("dilation", [1, 2])
def test_it_is_the_convolution_and_relu_of_torch(dilation):
    torch = import_torch()
    torch.manual_seed(0)
    conv = torch.nn.Conv2d(4, 4, 5, stride=2, padding=2, dilation=dilation, groups=4)
    geometry = Geometry((5, 5), (2, 2), (2, 2), (dilation, dilation), 4, bounds=(0.0, 6.0))
    x = torch.randn(2, 4, 12, 12)
    expected, found = torch.nn.functional.relu6(conv(x)), convolve(x, conv.weight, conv.bias, geometry)
    torch.testing.assert_close(found, expected)
    (gradient,) = torch.autograd.grad(expected.sum(), conv.weight)
    torch.testing.assert_close(torch.autograd.grad(found.sum(), conv.weight)[0], gradient)
