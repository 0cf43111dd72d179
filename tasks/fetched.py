"""Raw files of fsspec URIs, fetched once, whole or not at all, so that all that follows reads local files.

A file is kept under a name made of its URI, size and ETag (or time of change): when the remote one changes, it is
fetched anew. Without ETag and time nobody can tell, and it is fetched at every start.
"""

import hashlib
import json
import os
import secrets
import time
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from tasks.failures import BadConfig, BadData, StorageFailure
from tasks.formats.names import readable
from tasks.hub_files import HUB, fetch_hub, hub_origin

ATTEMPTS = 3
PAUSE = 0.5  # seconds before the second attempt, twice as long before each further one
ORIGIN = "origin.json"
MARKS = ("ETag", "etag", "md5Hash", "Content-MD5", "Last-Modified", "LastModified", "mtime", "updated", "created")
EXTRAS = {"s3": "pip install 'plumbline[s3]'", "s3a": "pip install 'plumbline[s3]'", "gs": "pip install gcsfs"}


class Found(NamedTuple):
    """A remote file: its path on its file system and URI, and what tells it from an older one."""

    path: str
    uri: str
    size: int | None
    mark: str


def fetch(uri: str, cache: Path) -> list[Path]:
    """Local copies of the files that a URI names, sorted by name; a URI may be a file, a folder or a glob.

    Raises BadData when there is none or it is not what was announced, StorageFailure when the other side does not
    answer after some attempts, BadConfig when its file system is not installed.
    """
    if uri.startswith(HUB):
        return fetch_hub(uri, cache / "hub")
    fs, path = _file_system(uri)
    found = _retried(uri, lambda: sorted(_list(fs, path, uri)))
    if not found:
        raise BadData(f"{uri}: no such file; correct the path of the source")
    return [_fetched(fs, one, cache) for one in found]


def origin(path: Path, cache: Path) -> str:
    """URI of a fetched file, with the revision of a hub's; empty for a file that was not fetched."""
    if not path.is_relative_to(cache):
        return ""
    if path.is_relative_to(cache / "hub"):
        return hub_origin(path, cache / "hub")
    return str(json.loads((path.parent / ORIGIN).read_bytes())["uri"])


def _file_system(uri: str) -> tuple[Any, str]:
    import fsspec

    try:
        fs, path = fsspec.core.url_to_fs(uri, use_listings_cache=False)
    except ImportError as error:
        scheme = uri.partition("://")[0]
        raise BadConfig(f"{uri}: {error}; {EXTRAS.get(scheme, 'install it')}") from error
    except ValueError as error:
        raise BadConfig(f"{uri}: {error}; correct the path of the source") from error
    return fs, path


def _list(fs: Any, path: str, uri: str) -> Iterator[Found]:
    # A question mark in a web address begins its query
    signs = "*[" if uri.startswith("http") else "*[?"
    if any(sign in path for sign in signs):
        names = [str(name) for name in fs.glob(path)]
    else:
        info = fs.info(path)
        if info.get("type") != "directory":
            yield _found(fs, path, info)
            return
        names = [str(name) for name in fs.find(path) if readable(PurePosixPath(name).name)]
    for name in names:
        info = fs.info(name)
        if info.get("type") != "directory":
            yield _found(fs, name, info)


def _found(fs: Any, path: str, info: dict[str, Any]) -> Found:
    mark = next((str(info[name]) for name in MARKS if info.get(name)), "")
    size = info.get("size")
    return Found(path, str(fs.unstrip_protocol(path)), int(size) if size is not None else None, mark)


def _fetched(fs: Any, file: Found, cache: Path) -> Path:
    """The local copy, whole. One that is there with the announced size is taken as it is."""
    key = hashlib.sha256(f"{file.uri}\0{file.size}\0{file.mark}".encode()).hexdigest()[:24]
    local = cache / key / (PurePosixPath(file.path.partition("?")[0]).name or "file")
    if file.mark and local.exists() and file.size in (None, local.stat().st_size):
        return local
    local.parent.mkdir(parents=True, exist_ok=True)
    (local.parent / ORIGIN).write_text(json.dumps(file._asdict()), encoding="utf-8")
    new = cache / f"{key}.{secrets.token_hex(8)}.part"
    try:
        _retried(file.uri, lambda: _download(fs, file, new))
        new.replace(local)
    finally:
        new.unlink(missing_ok=True)
    return local


def _download(fs: Any, file: Found, new: Path) -> None:
    fs.get_file(file.path, str(new))
    with new.open("rb") as written:
        os.fsync(written.fileno())
    size = new.stat().st_size
    if file.size is not None and size != file.size:
        raise BadData(
            f"{file.uri}: {size} bytes came, but {file.size} were announced: it changes, or is cut off on the way; "
            "run again when it is finished"
        )


def _retried(uri: str, act: Any) -> Any:
    """What ``act`` returns; tried again after what may pass."""
    for attempt in range(ATTEMPTS):
        try:
            return act()
        except (FileNotFoundError, PermissionError) as error:
            if _may_pass(error.__cause__):
                if attempt == ATTEMPTS - 1:
                    raise _lost(uri, error.__cause__) from error
                time.sleep(PAUSE * 2**attempt)
                continue
            raise BadData(f"{uri}: {error or 'no such file'}; correct the path of the source, or the access") from error
        except BadData:
            if attempt == ATTEMPTS - 1:
                raise
        except Exception as error:  # each file system has its own
            if attempt == ATTEMPTS - 1:
                raise _lost(uri, error) from error
        time.sleep(PAUSE * 2**attempt)
    raise AssertionError("unreachable")


def _may_pass(cause: BaseException | None) -> bool:
    """Whether what fsspec's HTTP calls "not found" is a broken connection or a busy server."""
    status = getattr(cause, "status", None)
    if status is not None:
        return bool(status >= 500 or status == 429)
    return isinstance(cause, OSError | TimeoutError) and not isinstance(cause, FileNotFoundError | PermissionError)


def _lost(uri: str, error: BaseException | None) -> StorageFailure:
    return StorageFailure(
        f"{uri}: lost after {ATTEMPTS} attempts ({type(error).__name__}: {error}); nothing of it is used; see whether "
        "the other side answers and run again"
    )
