"""The small networks, against their formulas in NumPy and the distributions they start from."""

import numpy as np
import pytest
import torch
from builders import field_config, random_field
from scipy.special import expit

from models.networks import PositionalEncoding, SineNetwork, SplitNetwork, SwishNetwork


@pytest.mark.parametrize("bands, norm_exp", [(0, 1.0), (3, 0.0), (4, 1.5)])
def test_encodings_are_damped_waves_of_doubling_frequency(bands, norm_exp):
    x = np.random.default_rng(0).uniform(-1, 1, (5, 2))
    found = PositionalEncoding(bands, norm_exp)(torch.tensor(x)).numpy()
    parts = [x]
    for k in range(bands):
        parts += [np.sin(2**k * x) / 2 ** (k * norm_exp), np.cos(2**k * x) / 2 ** (k * norm_exp)]
    np.testing.assert_allclose(found, np.concatenate(parts, axis=1), atol=1e-6)


def test_swish_networks_are_their_formula():
    network = SwishNetwork(2, 7, 2, 3, 1.0).double()
    x = torch.rand(4, 2, dtype=torch.float64)
    features = network.encoding(x).numpy()
    for layer in network.layers:
        features = features @ layer.weight.detach().numpy().T + layer.bias.detach().numpy()
        features = features * expit(features)
    np.testing.assert_allclose(network(x).detach(), features, atol=1e-12)
    assert [tuple(layer.weight.shape) for layer in network.layers] == [(7, 14), (7, 7)]


def test_sine_networks_are_their_formula():
    network = SineNetwork(2, 7, 3, 9.0).double()
    x = torch.rand(4, 2, dtype=torch.float64)
    features = x.numpy()
    for layer in network.layers:
        features = np.sin(9.0 * (features @ layer.weight.detach().numpy().T + layer.bias.detach().numpy()))
    np.testing.assert_allclose(network(x).detach(), features, atol=1e-12)
    assert len(network.layers) == 3


def test_initial_weights_have_the_sizes_of_their_papers():
    torch.manual_seed(0)
    first, second = SwishNetwork(3, 400, 2, 4, 1.0).layers
    assert float(first.weight.detach().std()) == pytest.approx(27**-0.5, rel=0.03)
    assert float(second.weight.detach().std()) == pytest.approx(400**-0.5, rel=0.03)
    first, second = SineNetwork(3, 400, 2, 15.0).layers
    # Sitzmann et al. 2020: uniform in +-1 / d, and in +-sqrt(6 / width) / omega_0.
    for layer, bound in ((first, 1 / 3), (second, (6 / 400) ** 0.5 / 15)):
        assert float(layer.weight.detach().abs().max()) == pytest.approx(bound, rel=0.01)
        assert float(layer.weight.detach().std()) == pytest.approx(bound / 3**0.5, rel=0.03)


@pytest.mark.parametrize("kind", ["siren", "mlp"])
def test_pointwise_fields_are_a_network_and_a_linear_layer(kind):
    field = random_field(field_config(kind, 2, 3, num_layers=2, num_channels=9, omega_0=5.0, pe=1, bias=True))
    # The authors count hidden layers without the first.
    assert [layer.out_features for layer in field.network.layers] == [9, 9, 9]
    x = torch.rand(4, 2, dtype=torch.float64)
    wanted = field.network(x) @ field.head.weight.T + field.head.bias
    np.testing.assert_allclose(field.network_points(x), wanted, atol=1e-12)
    assert (field.network.omega_0 if kind == "siren" else len(field.network.encoding.frequencies)) == (
        5.0 if kind == "siren" else 1
    )


@pytest.mark.parametrize("kind", ["siren", "mlp"])
def test_split_fields_share_what_follows_the_product_of_their_axes(kind):
    field = random_field(field_config(kind, 3, 2, num_layers=3, split=2, num_channels=9, omega_0=5.0, pe=1))
    network = field.network
    assert isinstance(network, SplitNetwork)
    assert [len(axis.layers) for axis in network.axes] == [2, 2, 2]
    x = torch.rand(4, 3, dtype=torch.float64)
    product = np.ones((4, 9))
    for j, (axis, linear) in enumerate(zip(network.axes, network.products, strict=True)):
        product *= axis(x[:, j : j + 1]).numpy() @ linear.weight.numpy().T + linear.bias.numpy()
        # Sine layers and what feeds them carry omega_0, so that equal steps move all weights alike.
        product *= 5.0 if kind == "siren" else 1.0
    (layer,) = network.shared.layers
    sums = product @ layer.weight.numpy().T + layer.bias.numpy()
    features = np.sin(5.0 * sums) if kind == "siren" else sums * expit(sums)
    np.testing.assert_allclose(field.network_points(x), features @ field.head.weight.numpy().T, atol=1e-12)


def test_grids_of_a_split_network_cost_its_axes():
    network = SplitNetwork([SwishNetwork(1, 6, 1, 2, 1.0) for _ in range(2)], SwishNetwork(6, 6, 1, 0, 0.0), 6).double()
    rows: list[int] = []
    for axis in network.axes:
        axis.register_forward_pre_hook(lambda _, inputs: rows.append(len(inputs[0])))
    nodes = [torch.rand(n, dtype=torch.float64) for n in (5, 8)]
    grid = network.grid(nodes)
    assert rows == [5, 8]
    torch.testing.assert_close(grid.flatten(0, 1), network(torch.cartesian_prod(*nodes)))
