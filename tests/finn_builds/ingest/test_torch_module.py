"""Modules of torch, with the examples that people have at hand."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest

from finn_builds.errors import UserError
from finn_builds.ingest import load_model, split_host, tidy
from finn_builds.ingest.torch_module import exported

torch = pytest.importorskip("torch")
qnn = pytest.importorskip("brevitas.nn")

X = np.random.default_rng(0).normal(size=(30, 6)).astype(np.float32)


class Joined(torch.nn.Module):
    """Two inputs, each with its quantiser."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = (qnn.QuantIdentity(bit_width=6) for _ in range(2))
        self.layer = qnn.QuantLinear(9, 3, bias=True, weight_bit_width=4)

    def forward(self, x, y):
        return self.layer(torch.cat([self.first(x), self.second(y)], dim=1))


def settled(module, *inputs):
    """Run a module in training, so that its quantisers find their scales; then no more."""
    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for _ in range(5):
            module(*inputs)
    return module.eval()


@pytest.fixture(scope="module")
def module():
    return settled(
        torch.nn.Sequential(
            qnn.QuantIdentity(bit_width=6),
            qnn.QuantLinear(6, 8, bias=True, weight_bit_width=4),
            qnn.QuantReLU(bit_width=4),
            qnn.QuantLinear(8, 3, bias=True, weight_bit_width=3),
        ),
        torch.from_numpy(X),
    )


EXAMPLES = [
    X, X[0], X[:1].astype(np.float64), X[0].tolist(), X.tolist(), pd.DataFrame(X),
    torch.from_numpy(X),
]  # fmt: skip


@pytest.mark.parametrize("place", range(len(EXAMPLES)))
def test_examples_of_any_form(module, tmp_path, place):
    split = split_host(tidy(load_model(exported(module, EXAMPLES[place], tmp_path / "m.onnx"))))
    with torch.no_grad():
        expected = module(torch.from_numpy(X)).numpy()
    found = split.host.after(split.network.execute(split.host.before(X)))
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.slow  # its imports
def test_a_compiled_module_is_that_which_was_compiled(module, tmp_path):
    exported(torch.compile(module), X, tmp_path / "m.onnx")
    assert split_host(tidy(load_model(tmp_path / "m.onnx"))).network.input.size == 6


def test_a_tuple_is_several_inputs(tmp_path):
    x, y = torch.from_numpy(X), torch.from_numpy(X[:, :3] * 2)
    joined = settled(Joined(), x, y)
    exported(joined, (x.numpy(), y.numpy()[0]), tmp_path / "m.onnx")
    split = split_host(tidy(load_model(tmp_path / "m.onnx")))
    assert [len(part) for part in split.host.input_shapes.values()] == [1, 1]
    beside = np.concatenate([x, y], axis=1)
    found = split.host.after(split.network.execute(split.host.before(beside)))
    with torch.no_grad():
        np.testing.assert_allclose(found, joined(x, y).numpy(), atol=1e-5)


@pytest.mark.parametrize(
    ("example", "message"),
    [
        (["a", "b"], r"expected numbers of shape \(frames, ...\), found list"),
        (X[:0], r"expected one frame or more, found shape \(0, 6\)"),
        (X[:, :4], "Brevitas can't export Sequential to QONNX: .*shapes"),
    ],
)
def test_wrong_examples(module, tmp_path, example, message):
    with pytest.raises(UserError, match=message):
        exported(module, example, tmp_path / "m.onnx")
