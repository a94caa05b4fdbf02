"""The description of one quantised MLP: what a model's YAML says about its layers."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from brevitas_models.errors import UserError

FLOAT_BITS = 32
WIDEST = 16
# What a build takes at most; wider networks are for training and comparing only.
WIDEST_BUILT = 8
BATCH_NORMS = ("on", "off", "no_affine", "no_running_stats")
SCALES = ("power_of_two", "free")
WEIGHT_SCALES = ("per_tensor", "per_channel")
ACTIVATIONS = ("relu", "hardtanh")

_WIDTHS = f"1..{WIDEST} (1 = bipolar, that is -1 or +1) or {FLOAT_BITS} (float)"


@dataclass(frozen=True)
class MLPConfig:
    """Sizes and number formats of a `QuantMLP`; checked when it is made.

    Attributes
    ----------
    layers : tuple of int
        Numbers of features: inputs, each hidden layer, classes. Two numbers are a network
        without a hidden layer.
    weight_bits, act_bits : int or tuple of int
        Width of the weights of every Linear layer (``len(layers) - 1`` of them) and of the output
        of every hidden layer (``len(layers) - 2``). One number stands for all layers. 1 is
        bipolar, 2..16 are integers, 32 is float. A build takes no more than 8 bits.
    input_bits : int
        Width of the input quantiser, which works on standardised features. 32: there is none.
    batch_norm : str
        After every hidden Linear layer: ``on``, ``off``, ``no_affine`` (no scale and shift of its
        own) or ``no_running_stats`` (normalises with the statistics of the batch; before export
        with those of the training set, see `QuantMLP.freeze_statistics`).
    scale : str
        ``power_of_two`` or ``free`` scales of weights and activations.
    weight_scale : str
        ``per_tensor``, or ``per_channel``: one scale for each neuron.
    activation : str
        Hidden activation where `act_bits` is at least 2: ``relu`` (unsigned) or ``hardtanh``
        (signed). A 1-bit activation is the sign, whatever stands here.
    narrow_range : bool
        Leave out the most negative weight value, so that weights are symmetric around zero.
    bias : bool
        Whether Linear layers have a (float) bias.
    fold_batch_norm : bool
        Fold BatchNorm into the weights before they are quantised and snap the sum of its shift and
        the bias to the grid of the accumulator. With power-of-two scales every activation then is
        an addition, a shift and a clip.
    """

    layers: tuple[int, ...]
    weight_bits: int | tuple[int, ...] = 4
    act_bits: int | tuple[int, ...] = 4
    input_bits: int = 8
    batch_norm: str = "on"
    scale: str = "power_of_two"
    weight_scale: str = "per_tensor"
    activation: str = "relu"
    narrow_range: bool = True
    bias: bool = True
    fold_batch_norm: bool = False

    def __post_init__(self) -> None:
        layers = _integers("layers", self.layers, "a list of two or more sizes, each 1 or more")
        if len(layers) < 2 or min(layers) < 1:
            raise UserError(
                f"layers: expected two or more sizes of 1 or more (inputs, hidden layers, "
                f"classes), found {list(layers)}"
            )
        object.__setattr__(self, "layers", layers)
        object.__setattr__(
            self, "weight_bits", _widths("weight_bits", self.weight_bits, len(layers) - 1)
        )
        object.__setattr__(self, "act_bits", _widths("act_bits", self.act_bits, len(layers) - 2))
        if not _is_width(self.input_bits):
            raise UserError(f"input_bits: expected {_WIDTHS}, found {self.input_bits!r}")
        object.__setattr__(self, "batch_norm", _switch(self.batch_norm))
        _one_of("batch_norm", self.batch_norm, BATCH_NORMS)
        _one_of("scale", self.scale, SCALES)
        _one_of("weight_scale", self.weight_scale, WEIGHT_SCALES)
        _one_of("activation", self.activation, ACTIVATIONS)
        for key in ("narrow_range", "bias", "fold_batch_norm"):
            if not isinstance(getattr(self, key), bool):
                raise UserError(f"{key}: expected true or false, found {getattr(self, key)!r}")
        if self.fold_batch_norm:
            self._check_fold()

    def _check_fold(self) -> None:
        if self.batch_norm not in ("on", "no_affine"):
            raise UserError(
                f"fold_batch_norm: needs BatchNorm with running statistics, that is batch_norm "
                f"on or no_affine, found {self.batch_norm}"
            )
        if self.scale != "power_of_two":
            raise UserError(
                f"fold_batch_norm: needs scale: power_of_two (its point is activations that are an "
                f"addition and a shift), found {self.scale}"
            )

    @property
    def weight_widths(self) -> tuple[int, ...]:
        """Weight bits of each Linear layer, input side first."""
        return _spread(self.weight_bits, len(self.layers) - 1)

    @property
    def act_widths(self) -> tuple[int, ...]:
        """Activation bits of each hidden layer, input side first."""
        return _spread(self.act_bits, len(self.layers) - 2)

    @property
    def input_widths(self) -> tuple[int, ...]:
        """Bits of what comes into each Linear layer, input side first."""
        return (self.input_bits, *self.act_widths)

    @property
    def buildable(self) -> bool:
        """Whether a build takes weights, activations and inputs of these widths."""
        return max(*self.weight_widths, *self.input_widths) <= WIDEST_BUILT

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> MLPConfig:
        """Make a config from what a YAML file holds.

        Parameters
        ----------
        values : mapping
            Keys are the attributes of this class; `layers` is needed, the others have defaults.
            ``batch_norm: on`` and ``off``, which YAML reads as booleans, are understood.

        Raises
        ------
        UserError
            For an unknown key, a missing `layers`, a wrong type or a value out of range; it names
            the key and what is allowed.
        """
        if not isinstance(values, Mapping):
            raise UserError(f"model: expected a mapping of settings, found {values!r}")
        known = [field.name for field in dataclasses.fields(cls)]
        for key in values:
            if key not in known:
                near = difflib.get_close_matches(str(key), known, 1)
                hint = f"; did you mean {near[0]}?" if near else ""
                raise UserError(f"{key}: no such model setting{hint} Known: {', '.join(known)}")
        if "layers" not in values:
            raise UserError("layers: missing; expected e.g. [16, 64, 32, 32, 5]")
        return cls(**values)

    def to_dict(self) -> dict[str, Any]:
        """Return the config as plain numbers, strings, booleans and lists, all keys present."""
        plain = dataclasses.asdict(self)
        return {k: list(v) if isinstance(v, tuple) else v for k, v in plain.items()}


def _is_integer(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_width(value: object) -> bool:
    return _is_integer(value) and (1 <= value <= WIDEST or value == FLOAT_BITS)  # type: ignore[operator]


def _integers(key: str, value: object, allowed: str) -> tuple[int, ...]:
    is_list = isinstance(value, Sequence) and not isinstance(value, str)
    if not is_list or not all(_is_integer(item) for item in value):  # type: ignore[attr-defined]
        raise UserError(f"{key}: expected {allowed}, found {value!r}")
    return tuple(value)  # type: ignore[arg-type]


def _widths(key: str, value: object, count: int) -> int | tuple[int, ...]:
    if _is_width(value):
        return value  # type: ignore[return-value]
    allowed = f"a width or a list of {count} widths, each {_WIDTHS}"
    if _is_integer(value):
        raise UserError(f"{key}: expected {allowed}, found {value!r}")
    widths = _integers(key, value, allowed)
    if len(widths) != count or not all(_is_width(width) for width in widths):
        raise UserError(f"{key}: expected {allowed}, found {list(widths)}")
    return widths


def _spread(widths: int | tuple[int, ...], count: int) -> tuple[int, ...]:
    return widths if isinstance(widths, tuple) else (widths,) * count


def _switch(value: object) -> object:
    # YAML 1.1 reads a bare `on` or `off` as a boolean.
    return {True: "on", False: "off"}[value] if isinstance(value, bool) else value


def _one_of(key: str, value: object, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise UserError(f"{key}: expected one of {', '.join(allowed)}, found {value!r}")
