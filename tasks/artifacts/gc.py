"""Garbage collection and whole-store verification.

Nothing is removed under a live writer: a key's leftovers go only while this process holds its lease, and generations
stay as long as any stage anywhere is being made, since its child may be reading one.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

from tasks.artifacts.backend import MANIFEST
from tasks.artifacts.check import check_generation
from tasks.artifacts.failures import BrokenArtifact, LeaseHeld
from tasks.artifacts.holder import Holder, claim_path, claims, live_holder
from tasks.artifacts.local import LocalFiles, older_than
from tasks.artifacts.ref import ArtifactRef
from tasks.artifacts.store import Store, generation

HOUR, DAY = 3600.0, 86400.0


@dataclass
class Collected:
    """What was removed, or would be; what was left alone and why."""

    dry_run: bool
    removed: list[str] = field(default_factory=list)
    size: int = 0
    notes: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        head = f"{'would remove' if self.dry_run else 'removed'} {len(self.removed)} items, {self.size / 1e6:.1f} MB"
        return "\n".join([*(f"  {name}" for name in self.removed), *self.notes, head])


def collect(
    store: Store,
    keep: Collection[str | ArtifactRef] = (),
    dry_run: bool = False,
    *,
    unreferenced: bool = False,
    broken_days: float = 30.0,
) -> Collected:
    """Remove superseded generations, dead writers' leftovers, working folders of committed keys, old broken ones.

    keep: digests or references whose content must stay even if superseded.  unreferenced: also remove every
    artifact that is not in ``keep``.  broken_days: age from which ``broken/`` is emptied, in days.
    """
    kept = {item.digest if isinstance(item, ArtifactRef) else item for item in keep}
    report = Collected(dry_run)
    busy = next(_live(store), None)
    if busy:
        report.notes.append(f"{_held(busy)}: generations stay until it is finished")
    else:
        for folder in list(_unneeded(store, kept, unreferenced)):
            _remove(store, report, folder)
    _leftovers(store, report)
    _old_claims(store, report)
    _broken(store, report, broken_days)
    return report


def verify_store(store: Store) -> list[str]:
    """Hash every generation again. One line a problem: what is broken, expected and found; empty when all is well."""
    problems = []
    for stage, key in store.each_key():
        for fence in store.fences(stage, key):
            folder = generation(stage, key, fence)
            manifest = store.read_manifest(folder)
            try:
                if manifest:
                    check_generation(store.files, folder, manifest)
                elif MANIFEST in store.files.names(folder) or isinstance(store.files, LocalFiles):
                    problems.append(f"{store.files.uri(folder)}/{MANIFEST}: expected a whole manifest, found none")
            except BrokenArtifact as error:
                problems.append(str(error))
            except OSError as error:
                problems.append(f"{store.files.uri(folder)} cannot be read: {error}")
    return problems


def _live(store: Store) -> Iterator[Holder]:
    """Every lease that is held now."""
    for key in store.files.names("leases"):
        if holder := _holder(store, key):
            yield holder


def _holder(store: Store, key: str) -> Holder | None:
    last = max(claims(store.files, key), default=0)
    return live_holder(store.files, key, last, ttl=30.0) if last else None


def _held(holder: Holder) -> str:
    return f"{holder.stage or 'a stage'} is being made by process {holder.pid} on {holder.host}"


def _unneeded(store: Store, kept: set[str], unreferenced: bool) -> Iterator[str]:
    """Folders of generations that a newer one supersedes, or that nothing refers to."""
    for stage, key in store.each_key():
        newest = store.find(stage, key)
        if newest is None:
            continue  # nothing whole to fall back on: left for `verify` to report
        newest_fence = store.manifest(newest).fence
        for fence in store.fences(stage, key):
            manifest = store.read_manifest(generation(stage, key, fence))
            if fence < newest_fence:
                # The same content is still there in the newest generation
                if manifest and manifest.digest in kept and manifest.digest != newest.digest:
                    continue
                yield generation(stage, key, fence)
            elif fence == newest_fence and unreferenced and newest.digest not in kept:
                yield generation(stage, key, fence)


def _leftovers(store: Store, report: Collected) -> None:
    """What killed writers left: staging folders, half uploads, trash, and working folders nobody will resume."""
    local = LocalFiles(store.scratch)
    for name in local.names("trash"):
        _remove_local(local, report, f"trash/{name}")
    for name in local.names("tmp"):
        stem = name.partition(".")[0]
        if stem in ("file", "clock"):
            if older_than(store.scratch / "tmp" / name, HOUR):
                _remove_local(local, report, f"tmp/{name}")
        else:
            _under_lease(store, report, "gc", stem, local, [f"tmp/{name}"])
    for stage in local.names("work"):
        for key in local.names(f"work/{stage}"):
            if store.find(stage, key):
                _under_lease(store, report, stage, key, local, [f"work/{stage}/{key}"])
    if not isinstance(store.files, LocalFiles):
        for stage, key in store.each_key():
            folders = [generation(stage, key, fence) for fence in store.fences(stage, key)]
            torn = [folder for folder in folders if MANIFEST not in store.files.names(folder)]
            if torn:
                _under_lease(store, report, stage, key, None, torn)


def _under_lease(
    store: Store, report: Collected, stage: str, key: str, local: LocalFiles | None, folders: list[str]
) -> None:
    """Remove leftovers of a key unless somebody is making it. local: where they lie; None: in the store itself."""
    holder = _holder(store, key)
    if holder:
        report.notes.append(f"{_held(holder)}: {', '.join(folders)} stays")
        return
    lease = store.lease(stage, key)
    try:
        if not report.dry_run:
            lease.acquire(wait=0)
        for folder in folders:
            _remove_local(local, report, folder) if local else _remove(store, report, folder)
    except LeaseHeld as error:
        report.notes.append(str(error))
    finally:
        lease.release()


def _old_claims(store: Store, report: Collected) -> None:
    """Claims below the one in force. The last of a key stays for ever: it remembers the fence number."""
    for key in store.files.names("leases"):
        for fence in claims(store.files, key)[:-1]:
            if not report.dry_run:
                store.files.delete(claim_path(key, fence))


def _broken(store: Store, report: Collected, days: float) -> None:
    for name in store.files.names("broken"):
        try:
            if store.files.age(f"broken/{name}/why.json") > days * DAY:
                _remove(store, report, f"broken/{name}")
        except FileNotFoundError:
            report.notes.append(f"{store.files.uri(f'broken/{name}')} has no why.json; remove it by hand")


def _remove(store: Store, report: Collected, folder: str) -> None:
    report.removed.append(store.files.uri(folder))
    report.size += sum(max(size, 0) for size in store.files.files(folder).values())
    if not report.dry_run:
        store.files.discard(folder)


def _remove_local(local: LocalFiles, report: Collected, folder: str) -> None:
    report.removed.append(local.uri(folder))
    report.size += sum(max(size, 0) for size in local.files(folder).values())
    if not report.dry_run:
        local.discard(folder)
