"""Outputs of classes beside outputs of numbers: how good each of them is."""

import numpy as np
import pytest
from onnx import TensorProto, helper

from deploy.driver import _judge
from deploy.tables import Table, read_table
from finn_builds.errors import UserError
from finn_builds.ingest import split_host, tidy
from finn_builds.verify.accuracy import quality_of, target_error
from finn_builds.verify.data import load_data, outputs_of
from tests.finn_builds.ingest.graphs import Graph, Layer, Quantizer

RNG = np.random.default_rng(2)
FRAMES = 60


def model(end: str):
    """Return a model of a class of three and a number: by a softmax, an argmax or plain scores."""
    rng = np.random.default_rng(5)
    graph = Graph((1, 4))
    graph.quantize(Quantizer(6, 0.25))
    start = graph.current
    graph.layer(Layer(rng.integers(-7, 8, (4, 3)) * 0.5, Quantizer(4, 0.5)))
    if end == "Softmax":
        graph.add("Softmax", axis=1)
    elif end == "ArgMax":
        graph.add("ArgMax", axis=1, keepdims=1)
    elif end == "TopK":
        graph.add("TopK", graph.constant([1], np.int64), axis=1)
        graph.nodes[-1].output.append("place")
        graph.current = "place"
    kind, graph.current = graph.current, start
    graph.layer(Layer(rng.integers(-7, 8, (4, 1)) * 0.5, Quantizer(4, 0.5)))
    made = graph.model(None)
    made.graph.output[0].name = kind
    if end in ("ArgMax", "TopK"):
        made.graph.output[0].type.tensor_type.elem_type = TensorProto.INT64
    number = helper.make_tensor_value_info(graph.current, TensorProto.FLOAT, None)
    made.graph.output.append(number)
    return made, kind


# A column for each class needs scores that are known to be such.
@pytest.mark.parametrize(
    ("end", "one_hot"),
    [("Softmax", True), ("Softmax", False), ("ArgMax", False), ("TopK", False), ("", False)],
)
def test_a_class_beside_a_number(end, one_hot, tmp_path, capsys):
    made, kind = model(end)
    split = split_host(tidy(made))
    host = split.host
    x = (RNG.integers(-30, 30, (FRAMES, 4)) / 4).astype(np.float32)
    integers = split.network.execute(host.before(x))
    values = outputs_of(host, integers)
    place = values[:, 0] if values.shape[1] == 2 else values[:, :3].argmax(axis=1)
    wanted = place.astype(int).copy()
    wanted[:15] = (wanted[:15] + 1) % 3
    columns = np.eye(3)[wanted] if one_hot else wanted[:, None]
    np.savez(tmp_path / "d.npz", X=x, y=np.hstack([columns, values[:, -1:] + 0.5]))
    data = load_data(tmp_path / "d.npz", host)
    found = target_error(values, data.targets, "here", surrogate=False, heads=data.heads)
    (head,) = found.heads
    assert (head.output, head.accuracy) == (kind, 0.75)
    assert head.standard_error == pytest.approx(np.sqrt(0.75 * 0.25 / FRAMES))
    assert found.rmse == pytest.approx(0.5, rel=1e-5) and len(found.rmse_by_output) == 1
    assert quality_of(found.as_json()) == found
    table = read_table(tmp_path / "d.npz", n_features=4, targets=True)
    assert isinstance(table, Table)
    _judge(values, table, host, scores=True)
    said = capsys.readouterr().out
    assert "RMSE 0.5" in said and f"accuracy of {kind} 75.0%" in said


def test_classes_alone_have_no_rmse():
    y = np.eye(3)[RNG.integers(0, 3, 20)]
    found = target_error(y, y, "here", surrogate=False, heads=[("kind", slice(0, 3))])
    assert found.rmse is None and found.rmse_of_constant is None
    assert found.heads[0].accuracy == 1
    assert quality_of(found.as_json()) == found


def test_targets_that_do_not_fit(tmp_path):
    host = split_host(tidy(model("")[0])).host
    x = np.zeros((10, 4))
    for width, match in ((3, "3 targets a frame, but the model has 4 outputs"), (2, "not a class")):
        np.savez(tmp_path / "d.npz", X=x, y=np.full((10, width), 0.5))
        with pytest.raises(UserError, match=match):
            load_data(tmp_path / "d.npz", host)
