"""One description of an option: what the command line, the messages and the table make of it."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Literal

import pytest
from pydantic import ConfigDict, ValidationError
from pydantic.dataclasses import dataclass

from finn_builds.config.build import OPTIONS
from finn_builds.config.options import (
    add_arguments,
    command_words,
    fault,
    option,
    options_of,
    table,
)


@dataclass(kw_only=True, config=ConfigDict(extra="forbid", strict=True))
class Oven:
    heat: float | None = option("--heat C", None, "heat in %", group="a", unset="room", gt=0)
    slices: int = option("--n", 2, "slices", group="a", ge=1)
    mode: Literal["fan", "grill"] = option("--mode", "fan", "how", group="b")
    light: bool = option("--light", False, "light on", group="b")
    serial: str | Path | None = option("", None, "serial number", group="b")


OVEN = options_of(Oven)


def test_the_table_in_the_docs_is_up_to_date(repo: Path) -> None:
    found = (repo / "docs" / "options.md").read_text(encoding="utf-8")
    assert found == table(OPTIONS), "run: make docs"


def test_command_line_gives_what_was_given_and_no_more(capsys: pytest.CaptureFixture) -> None:
    parser = argparse.ArgumentParser()
    add_arguments(parser, OVEN)
    assert vars(parser.parse_args([])) == {}
    argv = ["--heat", "180", "--n", "3", "--mode", "grill", "--light"]
    given = vars(parser.parse_args(argv))
    assert given == {"heat": 180.0, "slices": 3, "mode": "grill", "light": True}
    assert command_words(OVEN, given) == argv
    with pytest.raises(SystemExit):
        parser.parse_args(["--help"])
    text = " ".join(capsys.readouterr().out.split())
    assert "--heat C heat in % (default: room)" in text
    assert "--mode fan|grill how (default: fan)" in text
    assert "serial" not in text


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"heat": 0}, "heat: expected a number above 0, found 0; change it"),
        ({"slices": 0}, "slices (--n): expected a whole number of at least 1, found 0; change it"),
        ({"slices": True}, "slices (--n): expected a whole number of at least 1, found True"),
        ({"mode": "x"}, "mode: expected fan or grill, found 'x'; change it"),
        ({"light": 1}, "light: expected True or False, found 1; change it"),
        ({"serial": 5}, "serial: expected a text, found 5; change it"),
        ({"colour": 1}, "FINN's option colour has no effect in this flow: leave it out"),
        ({"slice": 1}, "slice: no such option; did you mean slices? Known are heat, slices, mode"),
    ],
)
def test_wrong_value_is_explained(values: dict, message: str) -> None:
    with pytest.raises(ValidationError) as found:
        Oven(**values)
    assert fault(found.value, OVEN, foreign=["colour"]).startswith(message)


def test_table() -> None:
    lines = table(OVEN).splitlines()
    assert "| `--heat` | `heat` | a number above 0 | heat in %; default: room |" in lines
    assert "| - | `serial` | a text | serial number |" in lines
    assert [line for line in lines if line.startswith("## ")] == ["## A", "## B"]
