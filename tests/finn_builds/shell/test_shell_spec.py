"""What a shell can be made for, and what is refused."""

import pytest

from finn_builds.config.boards import load_board
from finn_builds.errors import UserError
from finn_builds.shell import ShellSpec


@pytest.mark.parametrize(
    ("streams", "message"),
    [
        ({"in_bytes": 4097}, r"4096 bytes per beat.*input has 4097: build the first layer folded"),
        ({"out_bytes": 5000}, r"output has 5000: build the last layer folded"),
        ({"in_beats": 65536}, r"65535 beats per frame.*input has 65536: fold the first layer less"),
        ({"out_beats": 70000}, r"output has 70000: fold the last layer less"),
    ],
)
def test_a_network_that_is_too_large_is_told_what_to_do(streams, message):
    sizes = {"in_bytes": 1, "out_bytes": 1, "in_beats": 1, "out_beats": 1} | streams
    with pytest.raises(UserError, match=message):
        ShellSpec.for_board(load_board("Pynq-Z1"), "top", **sizes)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"accelerator": "a-b"}, "accelerator\n.*match pattern"),
        ({"in_bytes": 0}, "in_bytes\n.*greater than 0"),
        ({"word_bytes": 12}, "word_bytes\n.*must be a power of two, not 12"),
        ({"read_burst": 256, "word_bytes": 32}, "burst of 256 words of 32 bytes crosses 4 KiB"),
        ({"pending": 256}, "pending\n.*less than or equal to 255"),
    ],
)
def test_attributes_out_of_range_are_refused(changed, message):
    attributes = {"accelerator": "top"} | dict.fromkeys(
        ("in_bytes", "out_bytes", "in_beats", "out_beats"), 1
    )
    with pytest.raises(ValueError, match=message):
        ShellSpec(**attributes | changed)


def test_twice_the_frames_under_way_are_tracked():
    sizes = {"in_bytes": 1, "out_bytes": 1, "in_beats": 1, "out_beats": 1}
    specs = [
        ShellSpec.for_board(load_board("ZCU104"), "top", **sizes, frames_under_way=frames)
        for frames in (1, 8, 32, 33)
    ]
    assert [spec.tracked for spec in specs] == [16, 16, 64, 128]
    assert {(spec.word_bytes, spec.addr_bits, spec.read_burst) for spec in specs} == {(16, 40, 256)}
