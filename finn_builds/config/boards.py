"""The boards a build can aim at, read from ``board_configs/*.yaml``.

A board is one file; adding a board adds one file and changes no code. Files are checked when they
are read, and a mistake in one is an error that names the file and the key.
"""

import difflib
from pathlib import Path
from typing import TypeAlias

import yaml
from pydantic import BaseModel, ValidationError

from finn_builds.config.device import Resources
from finn_builds.config.open_boards import OpenBoard
from finn_builds.config.zynq_boards import Board, Pll
from finn_builds.errors import UserError

#: A board with a processor, or one that open tools place and route.
AnyBoard: TypeAlias = Board | OpenBoard

BOARD_DIR = Path(__file__).resolve().parents[2] / "board_configs"


def board_path(name: str, folder: Path = BOARD_DIR) -> Path:
    """Return the file that describes a board; the UserError lists those that the folder holds."""
    names = board_names(folder)
    if name not in names:
        by_lower = {known.lower(): known for known in names}
        close = difflib.get_close_matches(name.lower(), by_lower, n=1)
        hint = f"did you mean {by_lower[close[0]]}? " if close else ""
        raise UserError(
            f"unknown board {name!r}: {hint}known boards are {', '.join(names)}; choose one"
        )
    return folder / f"{name}.yaml"


def board_names(folder: Path = BOARD_DIR) -> list[str]:
    """Return the names of all boards, in alphabetical order."""
    return sorted((path.stem for path in folder.glob("*.yaml")), key=str.lower)


def load_board(name: str, folder: Path = BOARD_DIR) -> AnyBoard:
    """Read and check one board; UserError if there is none, or its file is not as it should be."""
    path = board_path(name, folder)
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        where = getattr(error, "problem_mark", None)
        line = f", line {where.line + 1}" if where is not None else ""
        raise UserError(
            f"{path}{line}: not a YAML file ({_first_line(error)}); fix it there"
        ) from error
    if not isinstance(content, dict):
        raise UserError(
            f"{path}: expected one mapping of keys, found {type(content).__name__}; see the other "
            "files in its folder"
        )
    # Not by the family: a mistake in it is then said in the words of the right kind.
    kind = OpenBoard if "clock_pin" in content else Board
    try:
        board: AnyBoard = kind.model_validate(content)
    except ValidationError as error:
        raise UserError(f"{path}: {_first_problem(error, list(kind.model_fields))}") from error
    if board.name != name:
        raise UserError(
            f"{path}: name: expected the file's name, {name}, found {board.name}; rename one of "
            "them"
        )
    return board


def _first_line(error: Exception) -> str:
    return str(getattr(error, "problem", None) or error).splitlines()[0]


def _first_problem(error: ValidationError, keys: list[str]) -> str:
    """Return the first problem as one line: key, what is wrong, what was found."""
    problem = error.errors()[0]
    key = ".".join(str(part) for part in problem["loc"])
    match problem["type"]:
        case "extra_forbidden":
            within: dict[str, type[BaseModel]] = {"resources": Resources, "pll": Pll}
            inner = within.get(key.partition(".")[0]) if "." in key else None
            known = keys if inner is None else list(inner.model_fields)
            return f"unknown key {key}; known keys are {', '.join(known)}; remove it"
        case "missing":
            return f"the key {key} is missing; add it, as the other boards have it"
        case "value_error":  # raised by Board itself: the message begins with the key
            return str(problem["ctx"]["error"])
        case "string_pattern_mismatch":
            wanted = "letters, digits, '_', '.' and '-'"
            if key == "board_part":
                wanted = "vendor:name without a version"
            return f"{key}: expected {wanted}, found {problem['input']!r}; change it"
        case _:
            expected = problem["msg"].removeprefix("Input should be ")
            return f"{key}: expected {expected}, found {problem['input']!r}; change it"
