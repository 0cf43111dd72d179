"""CSV and TSV: the first record names the fields; quotes and line feeds inside quotes as in RFC 4180."""

import csv
from collections.abc import Iterator

from tasks.failures import BadData
from tasks.formats.lines import read_lines
from tasks.formats.reading import Reading
from tasks.formats.row import SHOWN, Row


class Record:
    """Feeds the csv reader line by line, and remembers where the record began and what it looked like."""

    def __init__(self, reading: Reading) -> None:
        self.reading, self._lines = reading, read_lines(reading)
        self.clear()

    def clear(self) -> None:
        self.line, self.offset, self.size, self.lines = 0, 0, 0, 0
        self.raw, self.error = b"", ""

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = next(self._lines)
        if not self.line:
            self.line, self.offset = line.number, line.offset
        self.lines += 1
        self.size += len(line.content)
        self.raw = (self.raw + line.content)[: SHOWN * 4]
        if self.size > self.reading.limits.row_bytes:
            raise BadData(
                f"{self.reading.name}: the record that begins in line {self.line} (byte {self.offset}) is longer than "
                f"limits.row_bytes={self.reading.limits.row_bytes}: a quote is not closed, or raise the limit"
            )
        if not line.whole:
            self.error = f"a line of more than limits.row_bytes={self.reading.limits.row_bytes}; raise it"
            return "\n"
        text, error = self.reading.decode(line.content)
        if text is None:
            self.error = self.error or (error if self.lines == 1 else f"line {line.number}: {error}")
            return line.content.decode(self.reading.encoding, errors="replace")
        if "\0" in text:
            self.error = self.error or f"NUL at character {text.index(chr(0))} of line {line.number}: not text"
        return text


def delimited_rows(reading: Reading, delimiter: str) -> Iterator[Row]:
    """Rows by the names of the header, all values text. Blank lines are no rows.

    Raises BadData when the header names a field twice or not at all, and when a quote is never closed: where the
    rows after it begin, nobody can know.
    """
    csv.field_size_limit(max(csv.field_size_limit(), reading.limits.row_bytes))
    record = Record(reading)
    records = csv.reader(record, delimiter=delimiter, strict=True)
    names: list[str] = []
    while True:
        record.clear()
        try:
            fields = next(records)
        except StopIteration:
            return
        except csv.Error as error:
            if "unexpected end" in str(error):
                raise BadData(
                    f"{reading.name}: the quote in the record that begins in line {record.line} (byte {record.offset}) "
                    "is never closed; close it, or convert the file to JSON lines"
                ) from error
            # The parser starts anew with the next line
            yield reading.bad(record.line, f"invalid CSV: {error}", record.raw, record.offset)
            continue
        if not fields:
            continue
        if not names:
            names = _header(fields, record, reading)
        elif record.error or len(fields) != len(names):
            wrong = record.error or f"{len(fields)} fields, but the header has {len(names)}"
            yield reading.bad(record.line, wrong, record.raw, record.offset)
        else:
            yield reading.good(record.line, dict(zip(names, fields, strict=True)), record.offset)


def _header(fields: list[str], record: Record, reading: Reading) -> list[str]:
    twice = sorted({name for name in fields if fields.count(name) > 1 or not name.strip()})
    if record.error or twice:
        wrong = record.error or f"names without a field of their own: {', '.join(map(repr, twice))}"
        raise BadData(f"{reading.name}:{record.line}: the header cannot be used ({wrong}); correct the first line")
    return fields
