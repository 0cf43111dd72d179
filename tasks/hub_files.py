"""Files of data sets on the Hugging Face hub: ``hf://datasets/OWNER/NAME@REVISION/GLOB``, one commit and no other."""

import hashlib
import json
import os
import re
import secrets
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple
from urllib.parse import unquote

from tasks.failures import BadConfig, BadData, StorageFailure
from tasks.formats.names import readable

HUB = "hf://"
URI = re.compile(r"hf://datasets/([^/@]+/[^/@]+)(?:@(refs/(?:convert|pr)/[^/]+|[^/]+))?(?:/(.*))?")
COMMIT = re.compile(r"[0-9a-f]{40}")
TIMEOUT = 30.0


class Place(NamedTuple):
    """What a URI names. revision: branch, tag or commit. pattern: glob, file or folder in the data set, or empty."""

    name: str
    revision: str
    pattern: str


def parse(uri: str) -> Place:
    """Parts of a URI. Raises BadConfig when it is none of a data set."""
    match = URI.fullmatch(uri)
    if match is None:
        raise BadConfig(f"{uri}: not hf://datasets/OWNER/NAME@REVISION/GLOB; correct the path of the source")
    name, revision, pattern = match.groups()
    return Place(name, unquote(revision or "main"), (pattern or "").strip("/"))


def fetch_hub(uri: str, cache: Path) -> list[Path]:
    """Local copies of the files, sorted by name. A branch or tag is resolved to its commit first.

    With a full commit, what was fetched before needs no network. The endpoint is HF_ENDPOINT.
    Raises BadData when nothing matches, StorageFailure when the hub does not answer.
    """
    from huggingface_hub import HfApi, constants
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled

    place = parse(uri)
    api = HfApi(endpoint=os.environ.get("HF_ENDPOINT") or None)
    try:
        commit, names = _listing(api, place, cache)
        chosen = _chosen(names, place.pattern)
        if not chosen:
            raise BadData(f"{uri}: none of its {len(names)} files matches; correct the path of the source")
        return [
            Path(api.hf_hub_download(place.name, name, repo_type="dataset", revision=commit, cache_dir=cache))
            for name in chosen
        ]
    except HfHubHTTPError as error:
        status = getattr(error.response, "status_code", 0)
        if status in (401, 403, 404):
            raise BadData(
                f"{uri}: no such data set or revision, or no access to it ({error.server_message or status}); correct "
                "the path of the source, or set HF_TOKEN"
            ) from error
        raise _lost(uri, error) from error
    except BadData:
        raise
    except (OfflineModeIsEnabled, LocalEntryNotFoundError) as error:
        if not constants.is_offline_mode():
            raise _lost(uri, error) from error
        raise BadConfig(
            f"{uri}: HF_HUB_OFFLINE is set and not everything was fetched before; unset it, or name the full commit of "
            "files that were"
        ) from error
    except Exception as error:  # httpx's, and the client's own about files that came incomplete
        raise _lost(uri, error) from error


def _lost(uri: str, error: Exception) -> StorageFailure:
    return StorageFailure(
        f"{uri}: the hub was lost ({type(error).__name__}: {error}); nothing half-fetched is used; run again"
    )


def _listing(api: Any, place: Place, cache: Path) -> tuple[str, list[str]]:
    """The commit of a revision and the names of its files; remembered, because a commit never changes."""
    commit = place.revision
    if not COMMIT.fullmatch(commit):
        commit = str(api.dataset_info(place.name, revision=place.revision, timeout=TIMEOUT).sha)
    known = cache / f"listing-{hashlib.sha256(f'{place.name}@{commit}'.encode()).hexdigest()[:24]}.json"
    if known.exists():
        return commit, json.loads(known.read_bytes())
    tree = api.list_repo_tree(place.name, recursive=True, revision=commit, repo_type="dataset")
    names = sorted(entry.path for entry in tree if hasattr(entry, "size"))
    cache.mkdir(parents=True, exist_ok=True)
    new = known.with_suffix(f".{secrets.token_hex(8)}")
    new.write_text(json.dumps(names), encoding="utf-8")
    new.replace(known)
    return commit, names


def _chosen(names: list[str], pattern: str) -> list[str]:
    """The files of a glob, a file or a folder; of a folder those that can be read as data."""
    from fsspec.utils import glob_translate

    if any(sign in pattern for sign in "*?["):
        fits = re.compile(glob_translate(pattern))
        return [name for name in names if fits.match(name)]
    if pattern in names:
        return [pattern]
    inside = [name for name in names if not pattern or name.startswith(f"{pattern}/")]
    return [name for name in inside if readable(PurePosixPath(name).name) and not name.lower().endswith(".md")]


def hub_origin(path: Path, cache: Path) -> str:
    """URI, with the commit, of a file that was fetched."""
    folder, _, commit, *inner = path.relative_to(cache).parts
    name = folder.removeprefix("datasets--").replace("--", "/", 1)
    return f"hf://datasets/{name}@{commit}/{'/'.join(inner)}"
