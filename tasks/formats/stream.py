"""Byte streams of files, decompressed on the way, with a limit on how far they may expand."""

import bz2
import codecs
import gzip
import io
import lzma
import zlib
from pathlib import Path
from typing import Any, BinaryIO, cast

from tasks.failures import BadData
from tasks.formats.names import Compression
from tasks.formats.row import FREE_BYTES, ReadLimits

BUFFER = 256 << 10
NAMES = {"gz": "gzip", "zst": "Zstandard", "xz": "xz", "bz2": "bzip2"}
DAMAGED = (gzip.BadGzipFile, zlib.error, lzma.LZMAError)
# An encoding in which the byte 0x0A is not always a line feed is turned into UTF-8 first
WIDE = {"utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be"}


class Budget:
    """How many bytes a file may still unpack to. Archives share one over all members."""

    def __init__(self, name: str, packed: int, limits: ReadLimits) -> None:
        self.name, self.limits, self.used = name, limits, 0
        ratio = max(FREE_BYTES, int(limits.expansion * packed))
        self.most = ratio if limits.expanded_bytes is None else limits.expanded_bytes

    def take(self, size: int) -> None:
        """Raises BadData when the file unpacks to more than it may."""
        self.used += size
        if self.used > self.most:
            absolute = self.limits.expanded_bytes is not None
            how = f"expanded_bytes={self.most}" if absolute else f"expansion={self.limits.expansion:g}"
            raise BadData(
                f"{self.name}: unpacks to more than {self.most} bytes, as a zip bomb would (limits.{how}); raise "
                f"limits.{'expanded_bytes' if absolute else 'expansion'} of the source when it is sound"
            )


class Unpacked(io.RawIOBase):
    """A decompressed stream that counts what comes out against a budget."""

    def __init__(self, packed: BinaryIO, kind: Compression, budget: Budget) -> None:
        self._inner, self._kind, self._budget = _decompressor(packed, kind), kind, budget

    def readable(self) -> bool:
        return True

    def readinto(self, target: Any) -> int:
        name, kind = self._budget.name, NAMES.get(self._kind, "archived")
        try:
            data = self._inner.read(len(target))
        except (EOFError, zlib.error, *DAMAGED, OSError) as error:
            if isinstance(error, EOFError) or "Truncated" in str(error):
                raise BadData(f"{name}: the {kind} file is truncated; fetch it again") from error
            raise BadData(f"{name}: not a sound {kind} file ({error}); fetch it again") from error
        self._budget.take(len(data))
        target[: len(data)] = data
        return len(data)


def _decompressor(packed: BinaryIO, kind: Compression) -> Any:
    if kind == "gz":
        return gzip.GzipFile(fileobj=packed)
    if kind == "xz":
        return lzma.LZMAFile(packed)
    if kind == "bz2":
        return bz2.BZ2File(packed)
    if kind == "zst":
        import pyarrow as pa  # notices a truncated file, which the other bindings take for its end

        return pa.CompressedInputStream(pa.PythonFile(packed, mode="r"), "zstd")
    return packed


def unpacked(packed: BinaryIO, kind: Compression, budget: Budget) -> BinaryIO:
    """The stream as it is, or decompressed with its growth counted."""
    return cast(BinaryIO, io.BufferedReader(Unpacked(packed, kind, budget), BUFFER)) if kind else packed


def counted(stream: BinaryIO, budget: Budget) -> BinaryIO:
    """A stream that is unpacked already, such as a member of an archive, with its growth counted."""
    return cast(BinaryIO, io.BufferedReader(Unpacked(stream, "", budget), BUFFER))


class Counted(io.RawIOBase):
    """A file that knows how much of it was read, without asking the system for each row."""

    def __init__(self, path: Path) -> None:
        self._file = io.FileIO(path)
        self.place = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self.place = self._file.seek(offset, whence)
        return self.place

    def tell(self) -> int:
        return self.place

    def readinto(self, target: Any) -> int:
        size = self._file.readinto(target) or 0
        self.place += size
        return size

    def close(self) -> None:
        self._file.close()
        super().close()


def open_file(path: Path) -> io.BufferedReader:
    """A file for reading; ``.raw.place`` is how far. Raises BadData that names it when it cannot be read."""
    try:
        return io.BufferedReader(Counted(path), BUFFER)
    except FileNotFoundError as error:
        raise BadData(f"{path.name}: no such file; correct the path of the source") from error
    except OSError as error:
        raise BadData(f"{path.name}: cannot be read ({error.strerror}); correct the path of the source") from error


class Transcoded(io.RawIOBase):
    """UTF-8 bytes of a stream in a wide encoding."""

    def __init__(self, stream: BinaryIO, encoding: str, name: str) -> None:
        self._stream, self._name, self._read = stream, name, 0
        self._decoder = codecs.getincrementaldecoder(encoding)()
        self._rest = b""

    def readable(self) -> bool:
        return True

    def readinto(self, target: Any) -> int:
        while not self._rest:
            chunk = self._stream.read(BUFFER)
            try:
                self._rest = self._decoder.decode(chunk, final=not chunk).encode("utf-8")
            except UnicodeError as error:
                place = self._read + getattr(error, "start", 0)
                raise BadData(f"{self._name}: not {self._decoder_name()} near byte {place}; set `encoding`") from error
            self._read += len(chunk)
            if not chunk:
                break
        size = min(len(target), len(self._rest))
        target[:size], self._rest = self._rest[:size], self._rest[size:]
        return size

    def _decoder_name(self) -> str:
        return type(self._decoder).__module__.removeprefix("encodings.").replace("_", "-")


def as_utf8(stream: BinaryIO, encoding: str, name: str) -> tuple[BinaryIO, str]:
    """A stream whose lines end in the byte 0x0A, and the encoding it has then."""
    if codec(encoding) not in WIDE:
        return stream, codec(encoding)
    return cast(BinaryIO, io.BufferedReader(Transcoded(stream, encoding, name), BUFFER)), "utf-8"


def codec(encoding: str) -> str:
    """Python's name of an encoding."""
    return codecs.lookup(encoding).name
