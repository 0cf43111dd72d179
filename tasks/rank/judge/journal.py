"""Finished comparisons, one JSON line each, in the stage's working folder: nothing is asked twice after a kill."""

import hashlib
import json
import os
import threading
from dataclasses import asdict, dataclass
from pathlib import Path

from tasks.rankings import Messages, prompt_key


@dataclass(frozen=True)
class Answer:
    """One finished question: A, B or C, or "" when the reply could not be read twice. asked: replies that it took."""

    verdict: str
    asked: int
    tokens_in: int
    tokens_out: int


def question_key(prompt: Messages, first: str, second: str) -> str:
    """The same prompt with the same two candidates in the same order."""
    content = json.dumps([prompt_key(prompt), first, second], ensure_ascii=False)
    return hashlib.sha256(content.encode()).hexdigest()[:32]


class Journal:
    """Answers by question; a line that a kill cut short is asked again."""

    def __init__(self, path: Path, write: bool) -> None:
        self._path, self._write, self._lock = path, write, threading.Lock()
        self.answers: dict[str, Answer] = {}
        for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else []:
            try:
                row = json.loads(line)
                key = row.pop("question")
                self.answers[key] = Answer(**row)
            except (ValueError, TypeError, KeyError, AttributeError):
                continue

    def add(self, key: str, answer: Answer) -> None:
        """Durable when it returns: an answer costs money."""
        with self._lock:
            self.answers[key] = answer
            if self._write:
                with self._path.open("a", encoding="utf-8") as file:
                    # The line break first ends what a kill left of the line before
                    file.write("\n" + json.dumps({"question": key, **asdict(answer)}))
                    file.flush()
                    os.fsync(file.fileno())
