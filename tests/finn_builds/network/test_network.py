import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from finn_builds.network import (
    Affine,
    IntegerNetwork,
    Linear,
    Node,
    Product,
    Requantise,
    Tensor,
    Thresholds,
    chain,
    tensor_of,
)
from finn_builds.network.ops import affine_form, frozen
from finn_builds.network.types import bits_of, datatype_for, is_signed, range_of
from tests.finn_builds.network.networks import (
    check_ranges,
    naive,
    random_graph,
    random_inputs,
    random_network,
)


@pytest.mark.parametrize("seed", range(20))
def test_executes_as_python_integers_do(seed):
    network = random_network((5, 4, 3), seed, head=seed % 2 == 1)
    x = random_inputs(network, 20, seed)
    assert network.execute(x).tolist() == [naive(network, row) for row in x]


@pytest.mark.parametrize("seed", range(60))
def test_graphs_execute_as_python_integers_do(seed):
    network = random_graph(seed)
    x = random_inputs(network, 12, seed)
    assert network.execute(x).tolist() == [naive(network, row) for row in x]


@pytest.mark.parametrize("seed", range(60))
def test_graphs_keep_their_ranges_and_their_files(seed, tmp_path):
    network = random_graph(seed)
    x = random_inputs(network, 200, seed)
    check_ranges(network, x)
    network.save(tmp_path / "network.npz")
    again = IntegerNetwork.load(tmp_path / "network.npz")
    assert str(again) == str(network)
    np.testing.assert_array_equal(again.execute(x), network.execute(x))


@pytest.mark.parametrize("seed", range(60))
def test_layers_of_a_graph_compute_what_the_graph_does(seed):
    network = random_graph(seed)
    x = random_inputs(network, 20, seed)
    expected = network.execute(x)
    for layer in network.layers():
        x = network.part([layer]).execute(x)
    np.testing.assert_array_equal(x, expected)


def test_sums_beyond_the_mantissa_of_a_double_are_exact():
    linear = Linear([[(1 << 40) + 1], [1]])
    x = frozen([[(1 << 14) - 1, 1]])
    assert linear.execute(x).tolist() == [[((1 << 40) + 1) * ((1 << 14) - 1) + 1]]


@pytest.mark.parametrize("seed", range(10))
def test_ranges_hold_every_value_and_are_reached_by_accumulators(seed):
    network = random_network((3, 4, 2), seed, datatype="INT2")
    grid = np.stack(np.meshgrid(*[np.arange(-2, 2)] * 3), axis=-1).reshape(-1, 3)
    check_ranges(network, grid)
    values = network.values({"x": grid})
    first = network.nodes[0].output
    assert np.array_equal(values[first.name].min(axis=0), first.low)
    assert np.array_equal(values[first.name].max(axis=0), first.high)


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_affine_form_is_exact_wherever_it_is_taken(data):
    low = data.draw(st.integers(-60, 20))
    high = low + data.draw(st.integers(0, 80))
    step = data.draw(st.sampled_from([1, 2, 3, 4, 8, 16]))
    first = data.draw(st.integers(-90, 90))
    steps = data.draw(st.integers(1, 9))
    rows = first + step * np.arange(steps)[None, :]
    if data.draw(st.booleans()):
        rows = np.sort(
            rows + data.draw(st.lists(st.integers(0, 1), min_size=steps, max_size=steps))
        )
    form = affine_form(rows, frozen([low]), frozen([high]))
    x = np.arange(low, high + 1)[:, None]
    expected = (x >= rows).sum(axis=1, keepdims=True)
    uniform = step & (step - 1) == 0 and (np.diff(rows) == step).all()
    assert form is not None or not uniform
    if form is not None:
        assert np.array_equal(form.count(x), expected)
        clipped = Thresholds(rows).thresholds(frozen([low]), frozen([high]))
        assert np.array_equal(form.thresholds(frozen([low]), frozen([high])), clipped)


@pytest.mark.parametrize("head", [False, True])
def test_saved_and_loaded_it_is_the_same_and_the_bytes_are(tmp_path, head):
    network = random_network((6, 5, 4), 3, head=head)
    affine = Requantise(Affine([1, 1, 1, 0], [4, 5, 6, 1], [1, 2, 0, 0], 3), -1, 2)
    body = network.without_head()
    network = IntegerNetwork(
        body.inputs,
        (*body.nodes, chain(body.output, [("codes", affine)]).nodes[0]),
        ("codes",),
    )
    network.save(tmp_path / "a.npz")
    loaded = IntegerNetwork.load(tmp_path / "a.npz")
    loaded.save(tmp_path / "b.npz")
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    assert str(loaded) == str(network)
    x = random_inputs(network, 30)
    assert np.array_equal(loaded.execute(x), network.execute(x))


def test_prints_what_it_is():
    text = str(random_network((3, 2, 2), 0, head=True))
    assert text.splitlines()[0] == "input  x: 3 x INT4 in -8..7"
    assert "Linear 3 -> 2" in text and "ArgMax of 2" in text and text.endswith("output top1")


def test_parts_of_a_chain_compose_to_the_whole():
    network = random_network((6, 5, 4, 3), 1, head=True)
    layers = network.layers()
    assert [layer.requantise is None for layer in layers] == [False, False, True]
    x = random_inputs(network, 40)
    between = network.part(layers[:1]).execute(x)
    assert np.array_equal(
        network.part(layers[1:]).execute(between), network.without_head().execute(x)
    )


def test_several_inputs_lie_side_by_side():
    inputs = (Tensor.of_type("a", "INT3", 2), Tensor.of_type("b", "UINT2", 1))
    op = Linear([[1, 0], [0, 1], [5, -5]])
    low, high = op.range(frozen([-4, -4, 0]), frozen([3, 3, 3]))
    network = IntegerNetwork(
        inputs, (Node(op, ("a", "b"), Tensor("y", "INT6", low, high)),), ("y",)
    )
    assert network.execute(frozen([[1, 2, 3]])).tolist() == [[16, -13]]
    with pytest.raises(ValueError, match="frames of 3 integers"):
        network.execute(frozen([[1, 2]]))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda n: (n.inputs, n.nodes, ("nowhere",)), "the output nowhere is not there"),
        (lambda n: (n.inputs, n.nodes[::-1], n.outputs), "which is not there yet"),
        (lambda n: ((*n.inputs, *n.inputs), n.nodes, n.outputs), "two tensors are called x"),
        (lambda n: (n.inputs, (), n.outputs), "needs an input, an operation and an output"),
        (
            lambda n: ((Tensor.of_type("x", "INT5", 3),), n.nodes, n.outputs),
            "its range is not that of Linear",
        ),
        (
            lambda n: ((Tensor.of_type("x", "INT4", 2),), n.nodes, n.outputs),
            "takes 3 elements, found 2",
        ),
    ],
)
def test_broken_rules_are_named(change, message):
    with pytest.raises(ValueError, match=message):
        IntegerNetwork(*change(random_network((3, 2, 2), 0)))


def test_thresholds_that_do_not_ascend_are_refused():
    with pytest.raises(ValueError, match="thresholds of element 1 do not ascend"):
        chain(Tensor.of_type("x", "INT4", 2), [("y", Requantise(Thresholds([[1, 2], [2, 1]])))])


def test_values_that_leave_no_room_are_refused():
    with pytest.raises(ValueError, match="2\\^60"):
        chain(Tensor.of_type("x", "INT8", 1), [("y", Linear([[1 << 53]]))])
    # Ranges themselves are not computed where they would not fit int64.
    source = Tensor.of_type("x", "INT40", 2)
    for op in (Linear([[1 << 30], [1 << 30]]), Product([0], [1], 2)):
        with pytest.raises(OverflowError, match=r"integers of up to [78]. bits"):
            tensor_of(op, "y", [source])


def test_arrays_are_frozen():
    linear = random_network((3, 2, 2), 0).nodes[0].op
    with pytest.raises(ValueError, match="read-only"):
        linear.weights[0, 0] = 1


@pytest.mark.parametrize(
    ("low", "high", "name"),
    [
        (0, 0, "UINT1"),
        (0, 15, "UINT4"),
        (0, 16, "UINT5"),
        (-1, 0, "INT2"),
        (-8, 7, "INT4"),
        (-4, -4, "INT3"),
        (-9, -8, "INT5"),
        (-9, 7, "INT5"),
        (-1, 8, "INT5"),
    ],
)
def test_types_are_the_smallest_that_hold_a_range(low, high, name):
    assert datatype_for(low, high) == name
    least, most = range_of(name)
    assert least <= low and high <= most
    assert bits_of(name) == int(name.lstrip("UINT")) and is_signed(name) == name.startswith("I")


@pytest.mark.parametrize(
    ("datatype", "value", "message"),
    [
        ("INT4", 0.5, "holds 0.5 in place 1; expected INT4 from -8 to 7"),
        ("INT4", np.nan, "holds nan in place 1; expected INT4"),
        ("INT4", np.inf, "holds inf in place 1; expected INT4"),
        ("INT4", 8, "holds 8 in place 1; expected INT4"),
        ("BIPOLAR", 0, "holds 0 in place 1; expected BIPOLAR from -1 to 1"),
        ("INT4", "1", "expected frames of integers, found <U"),
        ("INT4", None, "expected frames of integers, found object"),
    ],
)
def test_values_that_the_type_of_an_input_can_t_hold(datatype, value, message):
    """Raw features, say, that were not quantised."""
    source = Tensor.of_type("x", datatype, 2)
    network = chain(source, [("y", Linear(np.array([[1], [2]])))])
    with pytest.raises(ValueError, match=message):
        network.execute(np.array([[1, 1], [1, value]]))
    right = np.array([[1.0, -1.0], [1.0, 1.0]])
    assert network.execute(right).tolist() == [[-1], [3]]
