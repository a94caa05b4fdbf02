"""What a build gives in Python: a torch module in, answers, a trace and the page out."""

from __future__ import annotations

import sys
import types
from dataclasses import replace

import brevitas.nn as qnn
import numpy as np
import pytest
import torch

from finn_builds import BuildConfig, UserError, build
from finn_builds.flow.steps import STEPS
from finn_builds.run.notebook import NotebookReporter, notebook_reporter
from tests.finn_builds.small_network import save_small_network

X = np.random.default_rng(0).normal(size=(60, 6)).astype(np.float32)


class Tagger(torch.nn.Module):
    """Two layers of Brevitas' own, as a user writes them."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = torch.nn.Sequential(
            qnn.QuantIdentity(bit_width=5),
            qnn.QuantLinear(6, 7, bias=True, weight_bit_width=3),
            qnn.QuantReLU(bit_width=3),
            qnn.QuantLinear(7, 4, bias=False, weight_bit_width=3),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layers(x)


@pytest.fixture(scope="module")
def module() -> Tagger:
    torch.manual_seed(1)
    made = Tagger()
    for _ in range(5):
        made(torch.randn(32, 6))
    return made.eval()


OPTIONS = {"board": "Pynq-Z1", "stop_step": "streamline", "verify_frames": 50}


@pytest.fixture(scope="module")
def result(module, tmp_path_factory):
    out = tmp_path_factory.mktemp("api") / "out"
    return build(model=module, example=X[:2], output_dir=out, **OPTIONS)


def test_a_module_is_built_and_predicts_what_it_does(module, result):
    with torch.no_grad():
        expected = module(torch.from_numpy(X)).numpy()
    np.testing.assert_allclose(result.scores(X), expected, atol=1e-5)
    # Equal scores are equal integers; the module's float32 sums may differ in the last bit.
    chosen = expected[np.arange(len(X)), result.predict(X)]
    np.testing.assert_allclose(chosen, expected.max(axis=1), atol=1e-5)
    assert (result.out.parent / "Tagger.onnx").is_file(), "the file that the report names"


def test_a_module_stays_in_its_mode(module, tmp_path):
    module.train()
    try:
        build(model=module, example=X, output_dir=tmp_path / "out", **OPTIONS)
        assert module.training
    finally:
        module.eval()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"model": object(), "example": X}, "expected a name, a path or a torch module"),
        ({"model": Tagger()}, "expected example=x"),
        ({"model": "jets", "example": X}, "only a torch module needs one"),
        ({"config": BuildConfig(board="Pynq-Z1"), "model": "jets"}, "found both"),
        ({"model": "jets", "bord": "Pynq-Z1"}, "bord: no such option; did you mean board"),
    ],
)
def test_mistakes(arguments, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=message):
        build(**arguments)
    assert list(tmp_path.rglob("*.onnx")) == []


def test_a_trace_holds_every_tensor(module, result):
    trace = result.trace(X)
    rows = trace.rows()
    assert rows[0][0].size == 6
    network = result.network
    np.testing.assert_array_equal(
        trace.integers[network.outputs[0]], network.execute(result.host.before(X))
    )
    for tensor, low, high in rows:
        assert tensor.bounds[0] <= low <= high <= tensor.bounds[1]
    with torch.no_grad():
        expected = module(torch.from_numpy(X)).numpy()
    last = list(trace.tensors.values())[-1]
    np.testing.assert_allclose(last.reshape(expected.shape), expected, atol=1e-5)
    (axes,) = trace.plot().axes
    assert len(axes.get_yticklabels()) == len(rows)
    # Of each tensor three bars: its type, what it can be, what it was.
    assert len(axes.patches) == 3 * len(rows)


def test_a_trace_pairs_the_tensors(result):
    """Every layer of the module is found beside its integers, and gives the same numbers."""
    trace = result.trace(X)
    pairs = trace.pairs()
    for pair in pairs:
        assert pair.name, f"{pair.tensor.name} has no tensor beside it"
        moved = ~np.isnan(pair.scale)
        assert moved.any()
        made = trace.integers[pair.tensor.name] * pair.scale + pair.offset
        values = trace.tensors[pair.name].reshape(len(made), -1)
        np.testing.assert_allclose(made[:, moved], values[:, moved], rtol=1e-4, atol=1e-4)
    assert len({pair.name for pair in pairs}) == len(pairs)
    labels = [label.get_text() for label in trace.plot().axes[0].get_yticklabels()]
    assert [label.split("\n")[1] for label in labels] == [pair.name for pair in pairs]


def test_a_trace_does_not_pair_what_differs(result):
    trace = result.trace(X)
    broken = {name: held**3 + 1 for name, held in trace.tensors.items()}
    other = replace(trace, tensors=broken)
    wide = [p for p in other.pairs() if np.ptp(other.integers[p.tensor.name], axis=0).max() > 2]
    assert wide
    assert [pair.name for pair in wide] == [""] * len(wide)


def test_the_page_stands_in_a_notebook(result, tmp_path):
    assert "unfinished build in" in result._repr_html_()
    (result.out / "report.html").write_text('<p class="x">10 ns & "more"</p>')
    try:
        shown = result._repr_html_()
    finally:
        (result.out / "report.html").unlink()
    assert shown.startswith("<iframe srcdoc=")
    assert "&lt;p class=&quot;x&quot;&gt;10 ns &amp;" in shown


class Handle:
    def __init__(self, shown: list[str]) -> None:
        self.shown = shown

    def update(self, page) -> None:
        self.shown.append(page._repr_html_())


def test_a_notebook_shows_a_bar(tmp_path, monkeypatch):
    assert notebook_reporter() is None, "this is no notebook"
    shown: list[str] = []

    def display(page, *, display_id):
        assert display_id
        shown.append(page._repr_html_())
        return Handle(shown)

    ipython = types.SimpleNamespace(
        get_ipython=object, display=types.SimpleNamespace(display=display)
    )
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    monkeypatch.setitem(sys.modules, "ipykernel", types.ModuleType("ipykernel"))
    assert isinstance(notebook_reporter(), NotebookReporter)
    model = save_small_network(tmp_path / "m.onnx")
    build(model=model, output_dir=tmp_path / "out", **OPTIONS)
    steps = len(STEPS)
    assert f"1/{steps} tidy_up" in shown[0] and 'value="0.000"' in shown[0]
    assert f"3/{steps} streamline:" in shown[-1] and f'value="{3 / steps:.3f}"' in shown[-1]
    shown.clear()
    build(model=model, output_dir=tmp_path / "out", **OPTIONS)
    assert f"3 of {steps} steps reused" in shown[0]


def test_a_network_refuses_what_its_input_can_t_be(result):
    network = result.network
    right = np.zeros((3, 6), np.int64)
    network.execute(right)
    with pytest.raises(ValueError, match=r"frame 1 holds 99 in place 2; expected INT5 from -1"):
        network.execute(right + 99 * (np.arange(18).reshape(3, 6) == 8))
    with pytest.raises(ValueError, match=r"expected frames of 6 integers, found \(3, 5\)"):
        network.execute(right[:, :5])
