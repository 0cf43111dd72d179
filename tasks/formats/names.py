"""What a file name says: its format, how it is compressed, whether it is an archive."""

from pathlib import PurePath
from typing import Literal, cast

from tasks.failures import BadData

Format = Literal["jsonl", "json", "csv", "tsv", "parquet", "arrow", "txt", "lines", "html", "warc"]
Compression = Literal["", "gz", "zst", "xz", "bz2"]
Archive = Literal["", "zip", "tar"]

SUFFIXES: dict[str, Format] = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "json",
    ".csv": "csv",
    ".tsv": "tsv",
    ".tab": "tsv",
    ".txt": "txt",
    ".md": "txt",
    ".lines": "lines",
    ".html": "html",
    ".htm": "html",
    ".xhtml": "html",
    ".warc": "warc",
    ".wet": "warc",
    ".parquet": "parquet",
    ".arrow": "arrow",
    ".feather": "arrow",
}
COMPRESSIONS: dict[str, Compression] = {
    ".gz": "gz", ".gzip": "gz", ".zst": "zst", ".zstd": "zst", ".xz": "xz", ".bz2": "bz2",
}  # fmt: skip
ARCHIVES: dict[str, Archive] = {".zip": "zip", ".tar": "tar"}
SHORT = {".tgz": ".tar.gz", ".txz": ".tar.xz", ".tzst": ".tar.zst", ".tbz2": ".tar.bz2"}
NOT_STREAMED = {"parquet", "arrow"}  # read by seeking


def compression(name: str) -> tuple[str, Compression]:
    """The name without the suffix of its compression, and the compression."""
    low = name.lower()
    for short, long in SHORT.items():
        if low.endswith(short):
            name = name[: -len(short)] + long
    suffix = PurePath(name).suffix
    kind = COMPRESSIONS.get(suffix.lower(), "")
    return (name[: -len(suffix)] if kind else name), kind


def archive(name: str) -> Archive:
    """Whether a file is an archive of files."""
    return ARCHIVES.get(PurePath(compression(name)[0]).suffix.lower(), "")


def file_format(path: PurePath, asked: str) -> Format:
    """The format a file is read as: the one asked for, or with ``auto`` the one of its suffix.

    An archive has the format of its members, so it has none itself: ``auto`` for one raises, as any unknown suffix.
    Raises BadData when the suffix is none of the known ones.
    """
    if asked != "auto":
        return cast(Format, asked)
    plain, _ = compression(path.name)
    suffix = PurePath(plain).suffix.lower()
    if suffix not in SUFFIXES:
        known = ", ".join(SUFFIXES)
        raise BadData(f"{path.name}: suffix {suffix or '(none)'!r} is none of {known}; set `format` of the source")
    return SUFFIXES[suffix]


def readable(name: str) -> bool:
    """Whether ``auto`` can read a file of this name."""
    return bool(archive(name)) or PurePath(compression(name)[0]).suffix.lower() in SUFFIXES
