"""Values in Tcl: none is left out, none is left over."""

from __future__ import annotations

import pytest

from finn_builds.vivado.tcl import fill, number


def test_names_are_replaced_and_braces_left_alone():
    text = "foreach {a @what@} {x @what@ $y} { puts @n@ }"
    assert fill(text, what="${b}", n=3) == "foreach {a ${b}} {x ${b} $y} { puts 3 }"


@pytest.mark.parametrize("given", [{}, {"a": 1}, {"a": 1, "b": 2, "c": 3}])
def test_a_name_too_few_or_too_many_is_an_error(given):
    with pytest.raises(ValueError, match=r"the text has \['a', 'b'\], given were"):
        fill("@a@ @b@", **given)


@pytest.mark.parametrize(
    ("value", "text"),
    [(100.0, "100"), (5.333, "5.333"), (187.51171948, "187.511719"), (0.25, "0.25"), (1e-9, "0")],
)
def test_numbers_have_at_most_six_decimals(value, text):
    assert number(value) == text
