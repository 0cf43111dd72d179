"""Answers of finished groups in the working folder: a killed run goes on with the next group."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True)
class Answer:
    """One sampled answer. tokens: without the end token. finished: it ended by itself."""

    text: str
    seed: int
    tokens: int
    finished: bool


class Finished:
    """One JSON line a group of a model; a line that a kill cut short is sampled again."""

    def __init__(self, path: Path, write: bool) -> None:
        self.path, self.write = path, write
        self.groups: dict[tuple[int, int], list[list[Answer]]] = {}
        for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else []:
            try:
                row = json.loads(line)
            except json.JSONDecodeError:
                continue
            self.groups[row["model"], row["group"]] = [[Answer(**one) for one in some] for some in row["answers"]]

    def add(self, model: int, group: int, answers: list[list[Answer]]) -> None:
        self.groups[model, group] = answers
        if self.write:
            rows = [[asdict(one) for one in some] for some in answers]
            with self.path.open("a", encoding="utf-8") as file:
                # The line break first ends what a kill left of the line before
                file.write("\n" + json.dumps({"model": model, "group": group, "answers": rows}))
