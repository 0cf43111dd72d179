"""Cut a file into parts that can be read by themselves, by other processes, in any order."""

from pathlib import Path

from tasks.failures import BadData
from tasks.formats.json_rows import HEAD, is_lines
from tasks.formats.names import archive, compression, file_format
from tasks.formats.row import FilePart
from tasks.formats.stream import WIDE, codec, open_file

SCAN = 1 << 20
LINES = {"jsonl", "lines"}


def split_file(path: Path, format: str, size: int, encoding: str = "utf-8") -> list[FilePart]:
    """Parts of about ``size`` bytes; at least one, even of an empty file.

    Uncompressed files of lines are cut at line ends (and read once for it, to count the lines), Parquet at row
    groups, Arrow at record batches. Everything else is one part. Raises BadData when the file is missing or unsound.
    """
    if archive(path.name):
        return [FilePart(path, format, encoding=encoding)]
    kind: str = file_format(path, format)
    if not path.is_file():
        raise BadData(f"{path.name}: no such file; correct the path of the source")
    whole = [FilePart(path, kind, encoding=encoding)]
    packed = compression(path.name)[1]
    if packed or codec(encoding) in WIDE:
        return whole
    if kind in ("parquet", "arrow"):
        from tasks.formats import tables  # pyarrow takes a while to import

        return (tables.parquet_parts if kind == "parquet" else tables.arrow_parts)(path, size)
    if kind == "json" and _json_lines(path):
        kind = "jsonl"
    return _line_parts(path, kind, size, encoding) if kind in LINES else whole


def _json_lines(path: Path) -> bool:
    with open_file(path) as file:
        return is_lines(file.read(HEAD))


def _line_parts(path: Path, format: str, size: int, encoding: str) -> list[FilePart]:
    starts, lines = [0], [1]
    offset = line = 0  # bytes and line ends read so far
    with open_file(path) as file:
        while chunk := file.read(min(SCAN, max(size, 1))):
            at = 0
            # Each part begins after the first line end at or after its size
            while offset + len(chunk) >= starts[-1] + size:
                end = chunk.find(b"\n", max(at, starts[-1] + size - offset - 1))
                if end < 0:
                    break
                line += chunk.count(b"\n", at, end + 1)
                at = end + 1
                starts.append(offset + at)
                lines.append(line + 1)
            line += chunk.count(b"\n", at)
            offset += len(chunk)
    if len(starts) > 1 and starts[-1] == offset:  # the last line end is the end of the file
        starts.pop()
        lines.pop()
    stops = [*starts[1:], offset]
    return [
        FilePart(path, format, start, stop, first, encoding)
        for start, stop, first in zip(starts, stops, lines, strict=True)
    ]
