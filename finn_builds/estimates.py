"""What a folded layer costs and how long it takes, before anything is synthesised.

Cycle counts follow FINN's model of its units. The resource model is ours: FINN 1.6.1 takes four
multiplications per DSP for every width and no LUT for the matrix-vector unit, which its RTL does
not keep (``mvu.sv``: the number of lanes in a DSP depends on both widths, and each DSP brings an
adder tree and the logic that repairs carries between lanes). Every figure is an estimate and is
reported as one; the constants are read off the structure of the RTL.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

#: Depth in words from which a weight memory is put into block RAM.
BRAM_FROM_DEPTH = 128


@dataclass(frozen=True)
class Resources:
    """Resources of one node or of a whole design.

    Attributes
    ----------
    LUT, DSP, BRAM_18K, URAM : float
        Number of each; LUT counts LUT6 sites, also those used as memory or shift register.
    """

    LUT: float = 0.0
    DSP: float = 0.0
    BRAM_18K: float = 0.0
    URAM: float = 0.0

    def __add__(self, other: Resources) -> Resources:
        """Return the sum, resource by resource."""
        return Resources(*(a + b for a, b in zip(_values(self), _values(other), strict=True)))

    def rounded(self) -> dict[str, int]:
        """Return whole numbers, rounded up, under FINN's names."""
        return {name: math.ceil(value) for name, value in asdict(self).items()}


def _values(resources: Resources) -> tuple[float, ...]:
    return (resources.LUT, resources.DSP, resources.BRAM_18K, resources.URAM)


@dataclass(frozen=True)
class MvauShape:
    """What decides the cost of a folded matrix-vector unit, apart from its folding.

    Attributes
    ----------
    mw, mh : int
        Inputs and outputs of the layer.
    weight_bits, act_bits, acc_bits : int
        Widths of weights, activations and accumulators in bits.
    narrow : bool
        Weights avoid the most negative value of their type.
    dsp_a_bits : int
        Width of the DSP's wide multiplier port: 25 on DSP48E1, 27 on DSP48E2.
    """

    mw: int
    mh: int
    weight_bits: int
    act_bits: int
    acc_bits: int
    narrow: bool
    dsp_a_bits: int

    def lanes(self) -> int:
        """Return the multiplications that share one DSP (``NUM_LANES`` of FINN's ``mvu.sv``)."""
        if self.dsp_a_bits == self.weight_bits:
            return 1
        lane = self.weight_bits + self.act_bits - 1
        return 1 + (self.dsp_a_bits - (not self.narrow) - self.weight_bits) // lane

    def cycles(self, pe: int, simd: int) -> int:
        """Return the cycles per frame at a folding."""
        return (self.mh // pe) * (self.mw // simd)

    def resources(self, pe: int, simd: int) -> Resources:
        """Return the cost at a folding, weight memory and replay buffer included."""
        lanes = min(self.lanes(), pe)
        pipes = math.ceil(pe / lanes)
        lane_bits = self.dsp_a_bits / self.lanes()
        tree = (simd - 1) * (lane_bits + 0.5 * math.log2(simd) + 3)
        repair = 5.0 * simd * (lanes - 1)
        per_lane = tree + 2 * self.acc_bits
        queue = pe * self.acc_bits + 12
        depth = self.cycles(pe, simd)
        width = pe * simd * self.weight_bits
        replay = 0.0
        if self.mh > pe:
            replay = simd * self.act_bits * math.ceil(self.mw / simd / 32) + 20
        lut = pipes * (lanes * per_lane + repair) + queue + replay + 30
        bram = 0.0
        if depth >= BRAM_FROM_DEPTH:
            bram = math.ceil(width / 36) * math.ceil(depth / 512)
        else:
            lut += width * max(1.0, depth / 64) if depth > 1 else 0.0
        return Resources(LUT=lut, DSP=pipes * simd, BRAM_18K=bram)


@dataclass(frozen=True)
class ThresholdShape:
    """What decides the cost of a thresholding unit, apart from its folding.

    Attributes
    ----------
    channels, steps : int
        Channels and thresholds of each.
    in_bits, threshold_bits : int
        Widths of inputs and thresholds in bits.
    """

    channels: int
    steps: int
    in_bits: int
    threshold_bits: int

    def cycles(self, pe: int) -> int:
        """Return the cycles per frame at a folding."""
        return self.channels // pe

    def resources(self, pe: int) -> Resources:
        """Return the cost at a folding: a binary search of log2(steps + 1) stages."""
        stages = max(1, (self.steps).bit_length())
        fold = self.channels // pe
        memory = sum(
            self.threshold_bits * math.ceil(fold * 2**stage / 64) if fold * 2**stage > 1 else 0
            for stage in range(stages)
        )
        compare = stages * (self.threshold_bits / 2 + 3)
        return Resources(LUT=pe * (memory + compare + stages) + 40)


def width_converter(in_bits: int, out_bits: int) -> Resources:
    """Return the cost of FINN's RTL width converter: a register and a selector of its width."""
    if in_bits == out_bits:
        return Resources()
    return Resources(LUT=max(in_bits, out_bits) + 16)


def fifo(width: int, depth: int) -> Resources:
    """Return the cost of ``stream_fifo``: shift registers up to 32 words deep, then LUTRAM."""
    if depth == 0:
        return Resources()
    if depth <= 1024:
        return Resources(LUT=width * math.ceil(depth / 32) + 10)
    return Resources(LUT=40, BRAM_18K=math.ceil(width / 36) * math.ceil(depth / 512))


def top1(labels: int, pe: int, width: int) -> Resources:
    """Return the cost of the argmax block: a comparator and two selectors per element."""
    index = max(1, (labels - 1).bit_length())
    return Resources(LUT=pe * (1.5 * width + index) + 2 * width + 20)
