import pytest
import torch
from scipy.linalg import hadamard
from torch.autograd.functional import hessian

from irrepress.core.labels import Labels
from irrepress.core.loss_weights import LossWeights
from irrepress.pruning.curvature import hessian_product, probe_diagonal
from irrepress.pruning.objectives import squared_loss

WEIGHTS = LossWeights(energy=1.0, forces=1.0, stress=1.0)
# The filter's three orders and the four blocks of one group.
NAMES = ("filter.0e", "filter.1e", "filter.2e", "features.2.2e")


class GatedLoss:
    """The squared loss of one structure against its labels, as a function of seven gates."""

    def __init__(self, model, structure):
        self.model = model
        self.batch = model.batch([structure])
        self.labels = Labels.of([structure], model.dtype)

    def __call__(self, *gates):
        with self.model.gated(dict(zip(NAMES, gates, strict=True))):
            prediction = self.model.predict(self.batch, create_graph=True)
        return squared_loss(prediction, self.batch, self.labels, WEIGHTS).sum()


@pytest.fixture(scope="module")
def loss(small_sevennet_double, structures):
    return GatedLoss(small_sevennet_double, structures[1])


@pytest.fixture(scope="module")
def gates():
    sizes = (1, 1, 1, 4)
    return tuple(torch.ones(n, dtype=torch.float64, requires_grad=True) for n in sizes)


@pytest.fixture(scope="module")
def dense(loss, gates):
    """The whole matrix of second derivatives of the loss, ``[7, 7]``."""
    rows = hessian(loss, gates)
    return torch.cat([torch.cat(row, dim=1) for row in rows])


def as_dict(tensors):
    return dict(zip(NAMES, tensors, strict=True))


def split(vector):
    return as_dict(torch.as_tensor(vector, dtype=torch.float64).split([1, 1, 1, 4]))


def test_products_are_those_of_the_dense_matrix(loss, gates, dense):
    """Through sevenn's compiled modules, differentiated three times."""
    gradients = as_dict(torch.autograd.grad(loss(*gates), gates, create_graph=True))
    vector = torch.randn(7, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    product = torch.cat(list(hessian_product(gradients, as_dict(gates), split(vector)).values()))
    torch.testing.assert_close(product, dense @ vector, rtol=1e-8, atol=1e-12)


def test_orthogonal_signs_give_the_diagonal_exactly(loss, gates, dense):
    """Rows of a Hadamard matrix: what stands beside the diagonal cancels to the last digit."""
    gradients = as_dict(torch.autograd.grad(loss(*gates), gates, create_graph=True))
    estimate = torch.zeros(7, dtype=torch.float64)
    for signs in hadamard(8)[:, :7]:
        product = hessian_product(gradients, as_dict(gates), split(signs))
        estimate += torch.cat(list(product.values())) * torch.as_tensor(signs) / 8
    torch.testing.assert_close(estimate, dense.diagonal(), rtol=1e-8, atol=1e-12)


def quadratic(matrix):
    """Gradients of x^T A x / 2 at ones."""
    x = torch.ones(len(matrix), dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(x @ matrix @ x / 2, x, create_graph=True)
    return {"x": gradient}, {"x": x}


def test_estimates_have_no_bias_and_scales_keep_small_elements_above_the_noise():
    size = torch.logspace(0, -3, 5, dtype=torch.float64)
    matrix = size[:, None] * (torch.eye(5, dtype=torch.float64) + 0.5) * size
    errors = {}
    for name, scales in (("ones", torch.ones(5)), ("scaled", 1 / size)):
        generator = torch.Generator().manual_seed(0)
        gradients, variables = quadratic(matrix)
        estimates = [
            probe_diagonal(gradients, variables, {"x": scales}, generator)["x"] for _ in range(1000)
        ]
        estimate = torch.stack(estimates).mean(0)
        errors[name] = (estimate / matrix.diagonal() - 1).abs()
    assert errors["scaled"].max() < 0.1
    assert errors["ones"][0] < 0.05
    assert errors["ones"][-1] > 1
