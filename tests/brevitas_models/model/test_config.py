"""The description of a network: what is accepted, what is refused and how it is told."""

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from brevitas_models.errors import UserError
from brevitas_models.model.config import MLPConfig

BATCH_NORMS = ["on", "off", "no_affine", "no_running_stats"]
WIDTHS = st.sampled_from([1, 2, 3, 4, 5, 6, 7, 8, 12, 16, 32])


@st.composite
def descriptions(draw):
    layers = draw(st.lists(st.integers(1, 99) | st.just(8), min_size=2, max_size=6))
    fold = draw(st.booleans())

    def widths(count):
        return st.one_of(WIDTHS, st.lists(WIDTHS, min_size=count, max_size=count))

    found = {
        "layers": layers,
        "weight_bits": draw(widths(len(layers) - 1)),
        "act_bits": draw(widths(len(layers) - 2)),
        "input_bits": draw(WIDTHS),
    }
    came = [found["input_bits"], *spread(found["act_bits"], len(layers) - 2)]
    entries = spread(found["weight_bits"], len(layers) - 1)
    ranges = ["shared"] + ["per_feature"] * (2 <= found["input_bits"] <= 16)
    found |= {
        "input_ranges": draw(st.sampled_from(ranges)),
        "edges": [
            draw(st.sampled_from(["weights"] + ["tables"] * (2 <= min(pair) <= max(pair) <= 8)))
            for pair in zip(came, entries, strict=True)
        ],
        "table_knots": draw(st.integers(2, 256)),
        "batch_norm": draw(st.sampled_from(["on", "no_affine"] if fold else BATCH_NORMS)),
        "scale": "power_of_two" if fold else draw(st.sampled_from(["power_of_two", "free"])),
        "weight_scale": draw(st.sampled_from(["per_tensor", "per_channel"])),
        "activation": draw(st.sampled_from(["relu", "hardtanh"])),
        "narrow_range": draw(st.booleans()),
        "bias": draw(st.booleans()),
        "fold_batch_norm": fold,
        "outputs": draw(st.sampled_from([None, {"all": layers[-1]}])),
    }
    learned = "tables" in found["edges"] and draw(st.booleans())
    found["code_widths"] = "learned" if learned else "whole"
    ends = draw(st.lists(st.tuples(st.integers(0, 5), st.integers(1, 5)), max_size=3))
    return found | {"skip": [list(pair) for pair in ends if fits(found, *pair)]}


def fits(found, first, second):
    """Return whether there can be a skip connection."""
    layers, places = found["layers"], {first, second} - {0}
    return (
        first < second < len(layers) - 1
        and layers[first] == layers[second]
        and found["scale"] == "power_of_two"
        and all(found["edges"][place] == "weights" for place in places)
    )


def spread(widths, count):
    return widths if isinstance(widths, list) else [widths] * count


@given(descriptions())
def test_survives_yaml(description):
    config = MLPConfig.from_dict(description)
    assert config.to_dict() == description
    again = MLPConfig.from_dict(yaml.safe_load(yaml.safe_dump(config.to_dict())))
    assert again == config
    assert len(config.weight_widths) == len(config.layers) - 1
    assert len(config.act_widths) == len(config.layers) - 2
    assert len(config.input_widths) == len(config.weight_widths)


def test_one_width_stands_for_all_layers():
    config = MLPConfig(layers=(16, 64, 32, 5), weight_bits=3, act_bits=(2, 6), input_bits=8)
    assert config.weight_widths == (3, 3, 3)
    assert config.act_widths == (2, 6)
    assert config.input_widths == (8, 2, 6)


def test_yaml_switches_are_not_booleans():
    text = "layers: [4, 3, 2]\nbatch_norm: {}\n"
    on, off = (MLPConfig.from_dict(yaml.safe_load(text.format(word))) for word in ("on", "off"))
    assert (on.batch_norm, off.batch_norm) == ("on", "off")


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ({"layers": [4]}, ["layers", "at least 2"]),
        ({"layers": [4, 0, 2]}, ["layers.1", "equal to 1", "found 0"]),
        ({"layers": "4-3-2"}, ["layers", "expected a list", "4-3-2"]),
        ({"layers": [4, 2.5, 2]}, ["layers", "2.5"]),
        ({"layers": [4, True, 2]}, ["layers", "True"]),
        ({"weight_bits": 17}, ["weight_bits", "1..16", "32", "17"]),
        ({"weight_bits": 0}, ["weight_bits", "1..16"]),
        ({"weight_bits": [4, 4, 4]}, ["weight_bits", "2 widths", "[4, 4, 4]"]),
        ({"weight_bits": [4, 20]}, ["weight_bits", "20"]),
        ({"weight_bits": "four"}, ["weight_bits", "four"]),
        ({"weight_bits": True}, ["weight_bits", "True"]),
        ({"act_bits": [4, 4]}, ["act_bits", "1 widths"]),
        ({"act_bits": 4.0}, ["act_bits", "4.0"]),
        ({"input_bits": 24}, ["input_bits", "1..16", "24"]),
        ({"input_bits": [8]}, ["input_bits", "[8]"]),
        ({"batch_norm": "maybe"}, ["batch_norm", "no_running_stats", "maybe"]),
        ({"scale": 2}, ["scale", "power_of_two", "free"]),
        ({"weight_scale": "per_layer"}, ["weight_scale", "per_channel"]),
        ({"activation": "gelu"}, ["activation", "relu", "hardtanh", "gelu"]),
        ({"bias": "yes"}, ["bias", "valid boolean", "yes"]),
        ({"narrow_range": 1}, ["narrow_range", "valid boolean"]),
        ({"fold_batch_norm": True, "batch_norm": "off"}, ["fold_batch_norm", "batch_norm"]),
        (
            {"fold_batch_norm": True, "batch_norm": "no_running_stats"},
            ["fold_batch_norm", "running statistics"],
        ),
        ({"fold_batch_norm": True, "scale": "free"}, ["fold_batch_norm", "power_of_two"]),
        ({"skip": [[0, 1]]}, ["skip: [0, 1]", "equally many values", "4 and 3"]),
        ({"skip": [[1, 1]]}, ["skip: [1, 1]", "earlier place", "0 (the inputs) to 1"]),
        ({"layers": [4, 4, 2], "skip": [[0, 1]], "scale": "free"}, ["skip", "power_of_two"]),
        (
            {"layers": [4, 4, 2], "skip": [[0, 1]], "edges": ["weights", "tables"]},
            ["skip", "tables"],
        ),
        ({"outputs": {"a": 1}}, ["outputs", "add up to the last layer's 2", "{'a': 1}"]),
        ({"outputs": {"a b": 2}}, ["outputs", "a b"]),
        ({"weight_bit": 4}, ["weight_bit:", "did you mean weight_bits"]),
        ({"dropout": 0.5}, ["dropout", "layers", "act_bits"]),
    ],
)
def test_refuses(setting, said):
    with pytest.raises(UserError) as error:
        MLPConfig.from_dict({"layers": [4, 3, 2]} | setting)
    for words in said:
        assert words in str(error.value)
    assert "\n" not in str(error.value)


def test_refuses_no_layers_and_no_mapping():
    with pytest.raises(UserError, match="layers: missing"):
        MLPConfig.from_dict({})
    with pytest.raises(UserError, match="mapping"):
        MLPConfig.from_dict([16, 5])
