"""Tables in text files: their encoding, separator and header, and what each column holds.

Which column holds the labels
    The one that is called ``label``, ``class`` or ``target`` (``labels`` and so on too), else
    several that begin with ``label_``, ``class_`` or ``target_``, else ``y``. Without such a name:
    the last columns if they are one-hot and their names begin alike (``kind_a``, ``kind_b``); the
    only column of text; else, where a model says how many features it takes, what is left of them;
    else the only one of the first and the last column that holds whole numbers, and of two such
    columns under a header the last one.
"""

from __future__ import annotations

import codecs
import csv
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice, pairwise
from pathlib import Path

from deploy.errors import UserError
from deploy.wanted import Wanted

__all__ = ["Layout", "Roles", "TextFile", "cannot_read", "roles"]

HOW = (
    "The label is the column called label, class, target or y, else the only column of text, else "
    "the last one if it alone holds whole numbers"
)

_MARKS = ("label", "labels", "class", "classes", "target", "targets")
_PREFIXES = ("label_", "class_", "target_")
_PANDAS_INDEX = re.compile(r"(unnamed: 0.*)?")
_INDEX_NAMES = (
    "index", "id", "idx", "row", "rowid", "row_id", "rownames", "level_0", "no", "nr", "#"
)  # fmt: skip
_HEAD = 1000  # rows that decide what a column holds
_SEPARATORS = ",;\t| "
_SAMPLE = 50  # rows that decide what separates fields

_MARKED_ENCODINGS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"),
)  # fmt: skip
_COMMA_DECIMAL = re.compile(r"[+-]?\d*,\d+(e[+-]?\d+)?", re.IGNORECASE)
_THOUSANDS = re.compile(r"[+-]?\d{1,3}(,\d{3})+")
_EXCEL_SEPARATOR = re.compile(r'"?sep=(.)"?', re.IGNORECASE)  # a first line that Excel reads
_QUOTED_OR_NOT = re.compile(r'"([^"]*)"(?!\S)|(\S+)')
_TRUTH = {"false": 0.0, "true": 1.0}


@dataclass(frozen=True)
class Layout:
    """How a text file is written."""

    encoding: str  # as Python names it
    separator: str  # between fields; a space stands for any white space
    header: tuple[str, ...] | None  # the names of the columns; None if the first line is a row
    decimal_comma: bool  # numbers are written as in 1,5
    skipped: int  # lines in front of the first row that are not blank
    head: tuple[tuple[str, ...], ...]  # the first rows
    # Columns without a name and without values, as a separator at the end of each line makes
    blank: tuple[int, ...] = ()

    @property
    def width(self) -> int:
        """Number of columns."""
        return len(self.header if self.header is not None else self.head[0])

    def number(self, text: str) -> float:
        """Return a field's number, also that of True or False; ValueError if it holds none."""
        truth = _TRUTH.get(text.strip().casefold())
        return _number(text, self.decimal_comma) if truth is None else truth

    def column(self, index: int) -> list[str]:
        """Return a column of the first rows, without the rows that are too short."""
        return [row[index].strip() for row in self.head if len(row) > index]

    def is_text(self, index: int) -> bool:
        """Return whether a column holds words: most of its first fields are not numbers."""
        found = [text for text in self.column(index) if text]
        words = sum(text.casefold() in _TRUTH or not self.is_number(text) for text in found)
        return 2 * words > len(found)

    def is_truth(self, index: int) -> bool:
        """Return whether a column holds nothing but True and False."""
        return all(text.casefold() in _TRUTH for text in self.column(index))

    def is_number(self, text: str) -> bool:
        """Tell whether a field holds a number."""
        try:
            self.number(text)
        except ValueError:
            return False
        return True

    def whole(self, index: int) -> list[int] | None:
        """Return a column's first fields as integers; None if one of them is not."""
        try:
            values = [self.number(text) for text in self.column(index)]
            return [int(value) for value in values] if all(map(float.is_integer, values)) else None
        except (ValueError, OverflowError):
            return None


class TextFile:
    """A text file with a table; `layout` says how it is written, `rows` yields what it holds."""

    def __init__(self, path: Path) -> None:
        self.path = path
        encoding = _encoding(path)
        with _Reading(self.path), path.open(encoding=encoding, newline="") as file:
            lines = [line.rstrip("\r\n") for line in islice(filter(str.strip, file), _SAMPLE)]
            said = _EXCEL_SEPARATOR.fullmatch(lines[0]) if lines else None
            above = int(said is not None)
            while above < len(lines) and lines[above].startswith("#"):
                above += 1
            separator = said.group(1) if said else _separator(lines[above:])
            file.seek(0)
            found = list(islice(_fields(file, separator), above + _HEAD + 1))
        rows = [tuple(row) for _, row in found]
        self.layout = self._layout(encoding, separator, rows, above)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the columns: those of the header, else ``x0``, ``x1``, ..."""
        layout = self.layout
        return layout.header or tuple(f"x{column}" for column in range(layout.width))

    @property
    def note(self) -> str:
        """What was not as usual about the file, for people; empty if nothing."""
        layout, notes = self.layout, []
        if layout.encoding not in ("utf-8", "utf-8-sig"):
            notes.append(f"read as {layout.encoding.upper()}")
        if layout.decimal_comma:
            notes.append("with decimal commas")
        if layout.header is None:
            notes.append("without a header")
        return "".join(f", {note}" for note in notes)

    def rows(self) -> Iterator[tuple[int, list[str]]]:
        """Yield line number and fields of every row that is not blank."""
        layout = self.layout
        with _Reading(self.path), self.path.open(encoding=layout.encoding, newline="") as file:
            for line, row in islice(_fields(file, layout.separator), layout.skipped, None):
                if len(row) != layout.width:
                    raise UserError(
                        f"{self.path}, line {line}: {len(row)} field{'s' * (len(row) != 1)}; "
                        f"expected {layout.width}, as in "
                        f"{'line 1' if layout.header else 'the first row'}."
                    )
                for column in layout.blank:
                    if row[column].strip():
                        raise UserError(
                            f"{self.path}, line {line}: field {column + 1}, {row[column]!r}, is in "
                            f"a column without a name that is empty above; name the column."
                        )
                yield line, row

    def _layout(
        self, encoding: str, separator: str, rows: Sequence[tuple[str, ...]], comments: int
    ) -> Layout:
        if not rows:
            raise UserError(f"{self.path}: the file is empty; expected a header line and rows.")
        decimal = _decimal_comma(rows, separator)
        plain = Layout(encoding, separator, None, decimal, 0, tuple(rows))
        above, below = rows[:comments], rows[comments:]
        # NumPy's savetxt writes the names of the columns as a comment.
        said = above[-1] if above and above[-1][0].startswith("#") else ()
        names = (said[0].lstrip("# "), *said[1:]) if said else ()
        names = names[1:] if separator == " " and names[:1] == ("",) else names
        if below and len(names) == len(below[0]) > 1:
            header: tuple[str, ...] | None = _stripped(names)
            skipped = comments
        elif below and _is_header(below, plain):
            header, skipped, below = _stripped(below[0]), comments + 1, below[1:]
        else:
            header, skipped = None, comments
        if not below:
            raise UserError(f"{self.path}: no rows after the header; expected at least one.")
        head = below[:_HEAD]
        if header is not None and {len(row) for row in head} == {len(header) + 1}:
            # R does not name its column of row names; a separator at the end makes a column, too.
            ends = all(not row[-1].strip() for row in head)
            header = (*header, "") if ends else ("", *header)
        layout = Layout(encoding, separator, header, decimal, skipped, tuple(head))
        nameless = [c for c in range(layout.width) if header is None or not header[c]]
        return replace(layout, blank=tuple(c for c in nameless if not any(layout.column(c))))


class _Reading:
    """Names the file in errors of reading it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, UnicodeError):
            raise UserError(f"{self.path}: not valid text ({error}); save it as UTF-8.") from None
        if isinstance(error, csv.Error):
            raise UserError(f"{self.path}{error}") from None
        if isinstance(error, OSError):
            raise cannot_read(self.path, error) from None


def cannot_read(path: Path, error: OSError) -> UserError:
    """Return the error of a file that can't be read."""
    return UserError(
        f"{path}: can't be read ({error.strerror or error}); expected a readable file."
    )


@dataclass(frozen=True)
class Roles:
    """Which columns are features and which are labels."""

    # Columns; several labels are one-hot or targets, none: features alone
    features: tuple[int, ...]
    labels: tuple[int, ...]
    note: str = ""  # what people should know of the choice; empty if the names say it


def roles(file: TextFile, wanted: Wanted) -> Roles:
    """Return what each column of a file is; `UserError` where that is not clear."""
    layout, names = file.layout, file.names
    named = layout.header is not None
    by_name = named and wanted.feature_names is not None
    dropped = [] if by_name else _index_columns(layout)
    unused = {*dropped, *layout.blank}
    left = [column for column in range(layout.width) if column not in unused]
    note = "".join(
        f", without its column of row numbers{f' {names[c]!r}' if names[c] else ''}"
        for c in dropped
    )
    if by_name:
        taken = [names.index(name) for name in wanted.feature_names or ()]
        left = [column for column in left if column not in taken]
    marked = _marked(names, left, file.path) if named else []
    if marked:
        labels, said = marked, ""
    elif by_name:
        labels, said = _left_over(layout, left, wanted)
    else:
        labels, said = _unmarked(file, left, wanted)
    if said:
        shown = " and ".join(repr(names[c]) for c in labels)
        note += f", with the labels in its {said}" + (f", {shown}" if named else "")
    if wanted.labelled and not labels:
        raise UserError(
            f"{file.path}: no column of labels beside the features; expected one. {HOW}."
        )
    features = taken if by_name else [column for column in left if column not in labels]
    if not features:
        raise UserError(
            f"{file.path}, line 1: one column, {names[0]!r}; expected at least one feature and the "
            f"label, separated by commas."
        )
    return Roles(tuple(features), tuple(labels), note)


def _marked(names: Sequence[str], left: Sequence[int], path: Path) -> list[int]:
    """Return the columns whose names say that they are labels."""
    small = {column: names[column].casefold() for column in left}
    exact = [column for column, name in small.items() if name in _MARKS]
    if len(exact) > 1:
        raise UserError(
            f"{path}, line 1: columns {names[exact[0]]!r} and {names[exact[1]]!r} both look like "
            f"the label; keep one."
        )
    groups = ([c for c, name in small.items() if name.startswith(start)] for start in _PREFIXES)
    several = next((group for group in groups if len(group) > 1), [])
    # `y` can also be a coordinate beside a column that is plainly the label.
    return exact or several or [column for column, name in small.items() if name == "y"]


def _left_over(layout: Layout, left: Sequence[int], wanted: Wanted) -> tuple[list[int], str]:
    """Choose among the columns that are none of a model's features."""
    group = _one_hot_group(layout, left)
    if group:
        return group, f"last {len(group)} columns"
    known = set(wanted.class_names or ())
    named = [column for column in left if known and set(layout.column(column)) <= known]
    if len(named) == 1:
        return named, "column of class names"
    # Where there are classes, numbers with fractions are something else.
    possible = [c for c in left if not known or layout.is_text(c) or layout.whole(c) is not None]
    if layout.width - 1 in possible:
        return [layout.width - 1], "last column"
    texts = [column for column in possible if layout.is_text(column)]
    if len(texts) == 1:
        return texts, "only column of text"
    one = len(possible) == 1
    return (list(possible), "one column that is not a feature") if one else ([], "")


def _unmarked(file: TextFile, left: Sequence[int], wanted: Wanted) -> tuple[list[int], str]:
    layout, n_features = file.layout, wanted.n_features
    group = _one_hot_group(layout, left)
    if group:
        return group, f"last {len(group)} columns"
    texts = [column for column in left if layout.is_text(column)]
    texts = [column for column in texts if not layout.is_truth(column)] or texts
    if len(texts) == 1:
        place = {left[-1]: "last column", left[0]: "first column"}
        return texts, place.get(texts[0], "only column of text")
    if texts:
        shown = " and ".join(repr(file.names[column]) for column in texts[:2])
        raise UserError(
            f"{file.path}, line 1: columns {shown} hold text; expected one such column, the label. "
            f"{HOW}: name it in a header, and remove the other."
        )
    if n_features == len(left) or len(left) == 1:
        return [], ""
    beyond = 0 if n_features is None else len(left) - n_features
    if beyond > 1 and beyond == wanted.n_outputs:
        return list(left[-beyond:]), f"last {beyond} columns"
    first, last = (_could_be_labels(layout, column) for column in (left[0], left[-1]))
    if last and (not first or layout.header is not None):
        return [left[-1]], "last column"
    if first and not last:
        return [left[0]], "first column"
    if beyond == 1:
        return [left[-1]], "last column"
    if not wanted.labelled and n_features is None:
        return [], ""
    why = "the first and the last column both could be" if first else "no column looks like"
    header = "" if layout.header is not None else "only numbers; "
    raise UserError(
        f"{file.path}, line 1: {header}{why} the label. {HOW}: name it in "
        f"{'line 1' if layout.header is not None else 'a header line, for example x0,x1,label'}."
    )


def _one_hot_group(layout: Layout, left: Sequence[int]) -> list[int]:
    """Return the last columns if they are one-hot and named alike, as by pandas' get_dummies."""
    if layout.header is None:
        return []
    starts = [layout.header[column].partition("_") for column in left]
    alike = [start[:2] == (starts[-1][0], "_") for start in starts]
    first = len(left) - alike[::-1].index(False) if False in alike else 0
    for begin in range(first, len(left) - 1):
        columns = [layout.whole(column) for column in left[begin:]]
        if all(
            set(row) <= {0, 1} and sum(row) == 1
            for row in zip(*(column or [2] for column in columns), strict=False)
        ):
            return list(left[begin:])
    return []


def _could_be_labels(layout: Layout, column: int) -> bool:
    """Tell whole numbers that come again and again."""
    values = layout.whole(column)
    return values is not None and (len(values) < 10 or 2 * len(set(values)) <= len(values))


def _index_columns(layout: Layout) -> list[int]:
    """Return the first columns as far as they number or name the rows, as pandas and R do."""
    found: list[int] = []
    for column in range(layout.width - 1 if layout.header is not None else 0):
        assert layout.header is not None
        name, values = layout.header[column].casefold(), layout.whole(column)
        texts = layout.column(column)
        # A program's own index has no name: then the rows may have been shuffled, or have names.
        own = _PANDAS_INDEX.fullmatch(name) is not None and (values is not None or name == "")
        distinct = all(texts) and len(set(texts)) == len(texts)
        steps = {b - a for a, b in pairwise(values or ())}
        if not distinct or not (own or (name in _INDEX_NAMES and steps == {1})):
            break
        found.append(column)
    return found


def _stripped(names: Sequence[str]) -> tuple[str, ...]:
    return tuple(name.strip() for name in names)


def _is_header(rows: Sequence[Sequence[str]], layout: Layout) -> bool:
    """Tell names of columns from a row."""
    first = [field.strip() for field in rows[0]]
    numbers = [field for field in first if layout.is_number(field)]
    if not numbers:
        return True
    if len(numbers) > 1 and numbers == [str(index) for index in range(len(numbers))]:
        return True  # as pandas names the columns of an array
    below = rows[1] if len(rows) > 1 else ()
    return any(
        name and not layout.is_number(name) and layout.is_number(field)
        for name, field in zip(first, below, strict=False)
    )


def _number(text: str, decimal_comma: bool) -> float:
    """Return a number; with decimal commas a point could separate thousands: ValueError."""
    if decimal_comma and "." in text:
        raise ValueError(text)
    return float(text.replace(",", ".") if decimal_comma else text)


def _decimal_comma(rows: Sequence[Sequence[str]], separator: str) -> bool:
    """Tell whether numbers are written as in 1,5; not so if some have a point."""
    fields = [field.strip() for row in rows for field in row]
    found = [field for field in fields if _COMMA_DECIMAL.fullmatch(field)]
    if separator == ",":  # in quotes: 1,234 is one thousand
        found = [] if all(map(_THOUSANDS.fullmatch, found)) else found
    return bool(found) and not any("." in field and _is_float(field) for field in fields)


def _is_float(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _separator(lines: Sequence[str]) -> str:
    """Return what separates fields: with it most of them are numbers, and then there are most."""
    if not lines:
        return ","

    def numbers_and_fields(separator: str) -> tuple[float, float]:
        try:
            rows = [[field.strip() for field in row] for _, row in _fields(lines, separator)]
        except csv.Error:
            return 0, 0
        width, times = Counter(map(len, rows)).most_common(1)[0]
        if width == 1:
            return 0, 0
        fields = [field for row in rows if len(row) == width for field in row]
        numbers = sum(bool(_is_float(f) or _COMMA_DECIMAL.fullmatch(f)) for f in fields)
        return times * numbers / (len(rows) * len(fields)), len(fields)

    return max(_SEPARATORS, key=numbers_and_fields)


def _fields(file: Iterable[str], separator: str) -> Iterator[tuple[int, list[str]]]:
    """Yield line number and fields of every line that is not blank."""
    if separator == " ":
        for number, line in enumerate(file, 1):
            if line.strip():
                yield number, [a or b for a, b in _QUOTED_OR_NOT.findall(line)]
        return
    reader = csv.reader(file, delimiter=separator, strict=True)
    try:
        for row in reader:
            if any(field.strip() for field in row):
                yield reader.line_num, row
    except csv.Error as error:
        raise csv.Error(f", line {reader.line_num}: not valid CSV ({error}).") from None


def _encoding(path: Path) -> str:
    """Return the encoding of a text: what its first bytes say, UTF-8, or that of Windows."""
    try:
        with path.open("rb") as file:
            start = file.read(4096)
        for mark, name in _MARKED_ENCODINGS:
            if start.startswith(mark):
                return name
        if start.startswith(b"PK\x03\x04"):
            raise UserError(
                f"{path}: a zip archive or an Excel workbook, not text; save the table as CSV."
            )
        if b"\0" in start:
            even, odd = start[::2].count(0), start[1::2].count(0)
            wide = "utf-16-le" if odd > even else "utf-16-be"
            possible = (wide,) if 4 * max(even, odd) >= len(start) else ()
        else:
            possible = ("utf-8", "cp1252")
        for name in possible:
            if _decodes(path, name):
                return name
    except OSError as error:
        raise cannot_read(path, error) from None
    raise UserError(f"{path}: not a text file; expected CSV in UTF-8. Save it as UTF-8.")


def _decodes(path: Path, encoding: str) -> bool:
    try:
        with path.open(encoding=encoding) as file:
            while file.read(1 << 20):
                pass
    except UnicodeError:
        return False
    return True
