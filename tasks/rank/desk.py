"""The desk where candidates lie until people have ranked them: what was given out, what came back, by when.

``$PLUMBLINE_HOME/rankings/CANDIDATES/`` holds candidates.jsonl, the sheet that people fill in; rankings.jsonl, what
was accepted; asked.json, when the sheet was given out; page.jsonl, what came in on the ranking page. CANDIDATES is
the beginning of the artifact's digest: every run with the same candidates shares the desk, so people are asked once.
"""

import json
import os
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from configs.schema.rank import PeopleConfig, RankConfig
from tasks.artifacts import Store
from tasks.artifacts.ref import ArtifactRef
from tasks.candidate_rows import Candidates, read_candidates
from tasks.failures import BadConfig, BadData
from tasks.rank.people import prompts_ranked, read_people, returned, sheet
from tasks.rankings import RankedPrompt, prompt_key
from tasks.run import home

DIGITS = 16  # of the candidates' digest; 64 bits tell them apart
HOUR = 3600.0


class TooFew(BadData):
    """Sound rankings, but fewer than the target."""


@dataclass(frozen=True)
class Desk:
    """The folder of one candidates artifact, and what is asked of people."""

    folder: Path
    candidates: list[Candidates]
    asked: PeopleConfig

    @property
    def sheet(self) -> Path:
        return self.folder / "candidates.jsonl"

    @property
    def accepted(self) -> Path:
        return self.folder / "rankings.jsonl"

    @property
    def page(self) -> Path:
        """What the ranking page writes, beside the database that it keeps."""
        return self.folder / "page.jsonl"

    @property
    def target(self) -> int:
        """Prompts to be ranked. Raises BadConfig when more are asked for than there are."""
        there = len({prompt_key(item.prompt) for item in self.candidates if len(item.distinct) > 1})
        wanted = self.asked.target if self.asked.target is not None else there
        if wanted > there or there == 0:
            raise BadConfig(
                f"rank.people.target={wanted}, but the candidates hold {there} prompts with different answers; lower "
                "rank.people.target, or sample more prompts (candidates.prompts) or hotter (candidates.temperature)"
            )
        return wanted

    @property
    def deadline(self) -> float | None:
        """Unix time until which the run waits; None without a deadline, or before the sheet was given out."""
        note = self.folder / "asked.json"
        if self.asked.deadline_hours is None or not note.is_file():
            return None
        return float(json.loads(note.read_text(encoding="utf-8"))["time"]) + self.asked.deadline_hours * HOUR

    @property
    def late(self) -> bool:
        return self.deadline is not None and time.time() >= self.deadline

    def give_out(self) -> None:
        """Write the sheet and the time. What lies there already stays: it may be half filled in."""
        self.folder.mkdir(parents=True, exist_ok=True)
        if not self.sheet.exists():
            _replace(self.sheet, "".join(sheet(self.candidates)))
        note = self.folder / "asked.json"
        if not note.exists():
            _replace(note, json.dumps({"time": time.time()}))

    def take(self, file: Path, annotator: str = "") -> Path:
        """Check a filled-in sheet, keep its rankings, and return the file that the rank stage reads.

        Raises BadData that says what is wrong; TooFew below the target, unless the deadline has passed and
        rank.people.on_deadline is use.
        """
        return self._accept(self.read(file, annotator), file)

    def collect(self, annotator: str = "") -> Path:
        """The same with what is on the sheet and on the ranking page, together."""
        return self._accept(self._given(annotator), self.sheet)

    def _given(self, annotator: str = "") -> list[RankedPrompt]:
        on_page = self.read(self.page) if self.page.is_file() else []
        return self.read(self.sheet, annotator) + on_page

    def _accept(self, items: list[RankedPrompt], file: Path) -> Path:
        count, target = prompts_ranked(items, self.asked.overlap), self.target
        if count < target and not (self.late and self.asked.on_deadline == "use" and items):
            raise TooFew(f"{file}: {self._count(count)}")
        if file != self.accepted:
            self.folder.mkdir(parents=True, exist_ok=True)
            _replace(self.accepted, "".join(returned(items)))
        return self.accepted

    def _count(self, count: int) -> str:
        by = f" by {self.asked.overlap} annotators" if self.asked.overlap > 1 else ""
        return f"{count} of {self.target} prompts are ranked{by}"

    def read(self, file: Path, annotator: str = "") -> list[RankedPrompt]:
        """Rankings of a filled-in sheet. Raises BadData that names the file when it is missing or wrong."""
        if not file.is_file():
            raise BadData(f"{file}: no such file; give a path that the process which runs the flow can read")
        try:
            return read_people(file, self.candidates, annotator)
        except BadData as error:
            raise BadData(f"{file}: {error}") from error

    def settled(self) -> Path | None:
        """The rankings that nobody needs to be asked for: named by rank.people.path, or accepted before.

        Raises BadConfig for a target that cannot be reached, BadData when rank.people.path is wrong.
        """
        _ = self.target  # refused before anybody starts to rank
        if self.asked.path is not None:
            return self.take(Path(self.asked.path).absolute())
        with suppress(BadData):  # none yet, or too few for a target that was raised since
            return self.take(self.accepted)
        return None

    def ready(self) -> Path | None:
        """The rankings if they are settled, or enough on sheet and page; None while too few are in.

        Raises as ``settled`` does, and BadData when the deadline has passed and the policy is to fail.
        """
        if (file := self.settled()) is not None:
            return file
        try:
            return self.collect()
        except BadData as problem:
            if not self.late:
                return None
            raise BadData(
                f"the deadline of {self.asked.deadline_hours:g} h for rankings has passed: {problem}; rank more of "
                "them, raise rank.people.deadline_hours, or set rank.people.on_deadline=use or a lower target"
            ) from problem

    def progress(self) -> str:
        """How far the sheet is, or what is wrong with it."""
        if not self.sheet.is_file():
            return f"{self.target} prompts to rank"
        try:
            return self._count(prompts_ranked(self._given(), self.asked.overlap))
        except BadData as error:
            return str(error)


def open_desk(store: Store, candidates: ArtifactRef, asked: PeopleConfig) -> Desk:
    """The desk of a candidates artifact, verified. Nothing is written before ``give_out`` or ``take``."""
    folder = home() / "rankings" / candidates.digest.removeprefix("sha256:")[:DIGITS]
    return Desk(folder, read_candidates(store.open(candidates)), asked)


def with_rankings(config: RankConfig, file: Path) -> RankConfig:
    """The same settings, with the file that the rank stage reads."""
    return config.model_copy(update={"people": config.people.model_copy(update={"path": str(file)})})


def note_page(desk: Desk, lines: list[str]) -> int:
    """Replace what is known of the ranking page; returns how many prompts are ranked, the sheet's included."""
    _replace(desk.page, "".join(lines))
    return prompts_ranked(desk.read(desk.sheet) + desk.read(desk.page), desk.asked.overlap)


def _replace(path: Path, text: str) -> None:
    new = path.with_name(f"{path.name}.{os.getpid()}.new")
    new.write_text(text, encoding="utf-8")
    new.replace(path)
