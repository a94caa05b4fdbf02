"""The description of one quantised MLP: what a model's YAML says about its layers."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, StrictBool, field_validator, model_validator

from brevitas_models import yaml_file
from brevitas_models.yaml_file import Section

FLOAT_BITS = 32
WIDEST = 16
# What a build takes at most; wider networks are for training and comparing only.
WIDEST_BUILT = 8
# A table has an entry for every code that may come in.
TABLE_WIDTHS = (2, 8)
# Codes of fewer bits make a table no cheaper: two functions of five bits share a LUT.
CHEAPEST_CODE_BITS = 5
# Range of the entries, and of the activation after them; logits have twice that of entries.
TABLE_RANGE = 4.0

_WIDTHS = f"1..{WIDEST} (1 = bipolar, that is -1 or +1) or {FLOAT_BITS} (float)"


def _width(value: Any) -> int:
    if type(value) is not int or not (1 <= value <= WIDEST or value == FLOAT_BITS):
        raise ValueError(f"expected {_WIDTHS}, found {value!r}")
    return value


def _widths(value: Any) -> int | tuple[int, ...]:
    return tuple(map(_width, value)) if isinstance(value, (list, tuple)) else _width(value)


Size = Annotated[int, Field(ge=1, strict=True)]
Widths = Annotated[int | tuple[int, ...], BeforeValidator(_widths)]
Edges = Literal["weights", "tables"]
# 0: the inputs, 1: the output of the first hidden layer, ...
Place = Annotated[int, Field(ge=0, strict=True)]
OutputName = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_]*$")]


class MLPConfig(Section):
    """Sizes and number formats of a `QuantMLP`; checked when it is made."""

    # Numbers of features: inputs, each hidden layer, classes. Two numbers are a network without a
    # hidden layer
    layers: tuple[Size, ...] = Field(min_length=2)
    # Width of the weights of every Linear layer (``len(layers) - 1`` of them) and of the output of
    # every hidden layer (``len(layers) - 2``). One number stands for all layers. 1 is bipolar,
    # 2..16 are integers, 32 is float. A build takes no more than 8 bits
    weight_bits: Widths = 4
    act_bits: Widths = 4
    # Width of the input quantiser, which works on standardised features. 32: there is none
    input_bits: Annotated[int, BeforeValidator(_width)] = 8
    # ``shared``: one range for all features; ``per_feature``: each its own, over which its frames
    # lie, which needs an input quantiser of 2 bits or more
    input_ranges: Literal["shared", "per_feature"] = "shared"
    # After every hidden Linear layer: ``on``, ``off``, ``no_affine`` (no scale and shift of its
    # own) or ``no_running_stats`` (normalises with the statistics of the batch; before export with
    # those of the training set, see `QuantMLP.freeze_statistics`)
    batch_norm: Literal["on", "off", "no_affine", "no_running_stats"] = "on"
    # ``power_of_two`` or ``free`` scales of weights and activations
    scale: Literal["power_of_two", "free"] = "power_of_two"
    # ``per_tensor``, or ``per_channel``: one scale for each neuron
    weight_scale: Literal["per_tensor", "per_channel"] = "per_tensor"
    # Hidden activation where `act_bits` is at least 2: ``relu`` (unsigned) or ``hardtanh``
    # (signed). A 1-bit activation is the sign, whatever stands here
    activation: Literal["relu", "hardtanh"] = "relu"
    # Leave out the most negative weight value, so that weights are symmetric around zero
    narrow_range: StrictBool = True
    bias: StrictBool = True  # whether layers have a (float) bias
    # Fold BatchNorm into the weights before they are quantised and snap the sum of its shift and
    # the bias to the grid of the accumulator. With power-of-two scales every activation then is an
    # addition, a shift and a clip
    fold_batch_norm: StrictBool = False
    # What an edge, from one value to one neuron, is in each layer. ``weights``: a weight times the
    # value. ``tables``: any function of the value's code, an own one for each edge, learned as a
    # broken line and quantised entry by entry; `weight_bits` is the width of the entries. Codes and
    # entries of a table have 2..8 bits. There is no BatchNorm after such a layer
    edges: Edges | tuple[Edges, ...] = "weights"
    # Points of each broken line, evenly spread over the codes; a table with fewer codes has a point
    # for each
    table_knots: int = Field(17, ge=2, le=256, strict=True)
    # How many bits of a code an edge that is a table reads. ``whole``: all; ``learned``: each as
    # many of the high ones as pay, but 5 at least: a budget of LUTs leaves out low bits where that
    # changes the answers least for what it saves
    code_widths: Literal["whole", "learned"] = "whole"
    # Skip connections: of each pair, what comes out of the first is added to what comes
    # out of the second, after its activation. 0 is the quantised inputs, 1 the first hidden layer
    # and so on. Both have equally many values; sums of sums are possible. Needs power-of-two
    # scales, so that the sums are exact, and weights as edges of the layer that takes a sum
    skip: tuple[tuple[Place, Place], ...] = ()
    # Names and sizes of the network's outputs, in their order, which together are the last layer:
    # several heads. None: a single output
    outputs: dict[OutputName, Size] | None = None

    @field_validator("batch_norm", mode="before")
    @classmethod
    def _switch(cls, value: object) -> object:
        # YAML 1.1 reads a bare `on` or `off` as a boolean.
        return {True: "on", False: "off"}[value] if isinstance(value, bool) else value

    @model_validator(mode="after")
    def _fits(self) -> MLPConfig:
        for key, count in (("weight_bits", self._count), ("act_bits", self._count - 1)):
            widths = getattr(self, key)
            if isinstance(widths, tuple) and len(widths) != count:
                raise ValueError(
                    f"{key}: expected a width or a list of {count} widths, found {list(widths)}"
                )
        if isinstance(self.edges, tuple) and len(self.edges) != self._count:
            raise ValueError(
                f"edges: expected weights, tables or a list of {self._count} of these, found "
                f"{list(self.edges)}"
            )
        low, high = TABLE_WIDTHS
        for layer, kind in enumerate(self.edge_kinds):
            found = self.input_widths[layer], self.weight_widths[layer]
            if kind == "tables" and not all(low <= bits <= high for bits in found):
                raise ValueError(
                    f"edges: tables take codes and have entries of {low}..{high} bits, found codes "
                    f"of {found[0]} and entries (weight_bits) of {found[1]} in layer {layer}"
                )
        if self.code_widths == "learned" and "tables" not in self.edge_kinds:
            raise ValueError(
                "code_widths: learned is of edges that are tables, and there are none; expected "
                "whole, or edges: tables"
            )
        if self.input_ranges == "per_feature" and self.input_bits in (1, FLOAT_BITS):
            raise ValueError(
                f"input_ranges: per_feature needs input_bits of 2..{WIDEST}, found "
                f"{self.input_bits}"
            )
        if self.fold_batch_norm and self.batch_norm not in ("on", "no_affine"):
            raise ValueError(
                f"fold_batch_norm: needs BatchNorm with running statistics, that is batch_norm "
                f"on or no_affine, found {self.batch_norm}"
            )
        if self.fold_batch_norm and self.scale != "power_of_two":
            raise ValueError(
                f"fold_batch_norm: needs scale: power_of_two (its point is activations that are an "
                f"addition and a shift), found {self.scale}"
            )
        for skip in self.skip:
            self._check_skip(*skip)
        if self.outputs is not None and sum(self.outputs.values()) != self.layers[-1]:
            raise ValueError(
                f"outputs: expected sizes that add up to the last layer's {self.layers[-1]}, found "
                f"{dict(self.outputs)}"
            )
        return self

    def _check_skip(self, first: int, second: int) -> None:
        pair = f"skip: [{first}, {second}]"
        if not first < second < self._count:
            raise ValueError(
                f"{pair}: expected an earlier place and a later one, of 0 (the inputs) to "
                f"{self._count - 1} (the last hidden layer)"
            )
        if self.layers[first] != self.layers[second]:
            raise ValueError(
                f"{pair}: expected equally many values, found {self.layers[first]} and "
                f"{self.layers[second]}"
            )
        if self.scale != "power_of_two":
            raise ValueError(
                f"{pair}: needs scale: power_of_two, so that sums are exact, found {self.scale}"
            )
        for place in {first, second} - {0}:
            if self.edge_kinds[place] == "tables":
                raise ValueError(
                    f"{pair}: the values of {place} come into a layer whose edges are tables, "
                    f"which take codes without a scale; expected weights there"
                )

    def skips_to(self, place: int) -> tuple[int, ...]:
        """Return the places whose values are added to those of a place; see `skip`."""
        return tuple(sorted(first for first, second in self.skip if second == place))

    @property
    def _count(self) -> int:
        return len(self.layers) - 1

    @property
    def weight_widths(self) -> tuple[int, ...]:
        """Weight bits of each Linear layer, input side first."""
        return _spread(self.weight_bits, self._count)

    @property
    def edge_kinds(self) -> tuple[Edges, ...]:
        """``weights`` or ``tables`` for each layer, input side first."""
        return self.edges if isinstance(self.edges, tuple) else (self.edges,) * self._count

    @property
    def normed(self) -> tuple[bool, ...]:
        """Whether BatchNorm comes after each hidden layer, input side first."""
        return tuple(
            self.batch_norm != "off" and kind == "weights" for kind in self.edge_kinds[:-1]
        )

    @property
    def table_steps(self) -> tuple[float | None, ...]:
        """Scale of each hidden activation, if it is fixed: after a layer of tables.

        None for a learned one and for activations without a scale (bipolar, float).
        """
        span = 2 * TABLE_RANGE if self.activation == "hardtanh" else TABLE_RANGE
        return tuple(
            span / 2**bits if kind == "tables" and bits not in (1, FLOAT_BITS) else None
            for kind, bits in zip(self.edge_kinds[:-1], self.act_widths, strict=True)
        )

    def knots(self, layer: int) -> int:
        """Return the points of each broken line of a layer of tables."""
        return min(self.table_knots, 2 ** self.input_widths[layer])

    def droppable(self, layer: int) -> int:
        """Return how many low bits of its codes an edge of a layer of tables may leave out."""
        if self.code_widths == "whole":
            return 0
        return max(self.input_widths[layer] - CHEAPEST_CODE_BITS, 0)

    @property
    def signed_acts(self) -> bool:
        """Whether the codes of hidden activations are signed; those of features always are."""
        return self.activation == "hardtanh"

    @property
    def act_widths(self) -> tuple[int, ...]:
        """Activation bits of each hidden layer, input side first."""
        return _spread(self.act_bits, self._count - 1)

    @property
    def input_widths(self) -> tuple[int, ...]:
        """Bits of what comes into each Linear layer, input side first."""
        return (self.input_bits, *self.act_widths)

    @property
    def buildable(self) -> bool:
        """Whether a build takes weights, activations and inputs of these widths."""
        return max(*self.weight_widths, *self.input_widths) <= WIDEST_BUILT

    @classmethod
    def from_dict(cls, values: object) -> MLPConfig:
        """Make a config from what a YAML file holds.

        Raises UserError for an unknown key, a missing `layers`, a wrong type or a value out of
        range; it names the key and what is allowed.
        """
        return yaml_file.check(cls, values)

    def to_dict(self) -> dict[str, Any]:
        """Return the config as plain numbers, strings, booleans and lists, all keys present."""
        return self.model_dump(mode="json")


def _spread(widths: int | tuple[int, ...], count: int) -> tuple[int, ...]:
    return widths if isinstance(widths, tuple) else (widths,) * count
