"""Zip and tar archives: each member is read as a stream and never written to disk."""

import io
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import BinaryIO, cast

from tasks.failures import BadData
from tasks.formats.names import NOT_STREAMED, Format, archive, compression, file_format
from tasks.formats.reading import Reading
from tasks.formats.row import ReadLimits, Row
from tasks.formats.stream import Budget, as_utf8, codec, counted, open_file, unpacked

Readers = Callable[[Reading, Format], Iterator[Row]]
LEFT_OUT = ("__MACOSX/", ".DS_Store", "Thumbs.db")  # what desktops add to archives


def archive_rows(path: Path, asked: str, encoding: str, limits: ReadLimits, read: Readers) -> Iterator[Row]:
    """Rows of every member in the order of the archive; ``asked`` is the format of the members, or auto.

    A member that cannot be read is one malformed row with its name: an absolute path or one with "..", a link, an
    unknown suffix, an archive inside, a table that needs seeking, a password. Raises BadData when the archive is
    unsound.
    """
    members = _zip_members if archive(path.name) == "zip" else _tar_members
    with open_file(path) as raw:
        budget = Budget(path.name, path.stat().st_size, limits)
        try:
            for name, stream, refused in members(raw, path, budget):
                where = f"{path.name}/{name}"
                format, unknown = _format(name, asked)
                if stream is None or format is None or _refused(name):
                    reading = Reading(raw, where, raw.tell, limits, member=name)
                    yield reading.bad(0, _refused(name) or refused or unknown, b"", None)
                    continue
                plain, now = as_utf8(_plain(stream, name, budget), encoding, where)
                exact = now == codec(encoding)
                yield from read(Reading(plain, where, raw.tell, limits, now, member=name, exact=exact), format)
        except (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError, RuntimeError) as error:
            raise BadData(f"{path.name}: not a sound archive ({error}); fetch it again") from error


def _format(name: str, asked: str) -> tuple[Format | None, str]:
    if archive(name):
        return None, "an archive inside an archive; unpack it, or name the inner one as a source"
    try:
        format = file_format(PurePosixPath(name), asked)
    except BadData as error:
        return None, str(error)
    if format in NOT_STREAMED:
        return None, f"{format} cannot be read as a stream; take it out of the archive"
    return format, ""


def _refused(name: str) -> str:
    """Why a member of this name is not read, or nothing."""
    parts = name.replace("\\", "/").split("/")
    if name.startswith(("/", "\\")) or name[1:2] == ":" or ".." in parts:
        return f"the member's path {name!r} leads out of the archive"
    return ""


def _plain(stream: BinaryIO, name: str, budget: Budget) -> BinaryIO:
    return unpacked(stream, compression(name)[1], budget)


def _zip_members(raw: BinaryIO, path: Path, budget: Budget) -> Iterator[tuple[str, BinaryIO | None, str]]:
    with zipfile.ZipFile(raw) as file:
        for info in file.infolist():
            if info.is_dir() or _left_out(info.filename):
                continue
            if info.flag_bits & 1:
                yield info.filename, None, "the member has a password; pack the archive without"
                continue
            with file.open(info) as stream:
                yield info.filename, counted(cast(BinaryIO, stream), budget), ""


def _tar_members(raw: BinaryIO, path: Path, budget: Budget) -> Iterator[tuple[str, BinaryIO | None, str]]:
    _, kind = compression(path.name)
    if not kind and not _ends_with_zeros(raw):
        raise tarfile.ReadError("truncated: no block of zeros at its end")
    with tarfile.open(fileobj=unpacked(raw, kind, budget), mode="r|") as file:
        for info in file:
            if info.isdir() or _left_out(info.name):
                continue
            if not info.isfile():
                yield info.name, None, "the member is a link or a device, not a file"
                continue
            yield info.name, cast(BinaryIO, file.extractfile(info)), ""


def _ends_with_zeros(raw: BinaryIO) -> bool:
    """A tar archive ends with blocks of zeros; tarfile takes one that was cut between two members for whole."""
    raw.seek(max(0, raw.seek(0, io.SEEK_END) - tarfile.BLOCKSIZE))
    last = raw.read()
    raw.seek(0)
    return len(last) == tarfile.BLOCKSIZE and not last.strip(b"\0")


def _left_out(name: str) -> bool:
    return name.startswith(LEFT_OUT[0]) or PurePosixPath(name).name in LEFT_OUT[1:]
