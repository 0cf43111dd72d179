"""Rows of raw files in any format, one at a time, in bounded memory.

A row that cannot be read is handed on with its line, byte offset and the reason, so that a stage can count it, show
it and go on. A file that cannot be read at all (missing, truncated, not what its name says) is a `BadData`.
"""

from tasks.formats.names import Format, file_format
from tasks.formats.part import split_file
from tasks.formats.read import read_file, read_part, read_rows
from tasks.formats.row import FilePart, ReadLimits, Row

__all__ = [
    "FilePart",
    "Format",
    "ReadLimits",
    "Row",
    "file_format",
    "read_file",
    "read_part",
    "read_rows",
    "split_file",
]
