"""Candidates ranked by a judge model: every pair asked twice with the places swapped, ranks from the pairs won."""

from collections.abc import Callable
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from itertools import count
from pathlib import Path
from threading import Event
from typing import Any, Protocol

from configs.schema.judge import JudgeConfig
from tasks.candidate_rows import Candidates
from tasks.failures import BadConfig
from tasks.live import Live
from tasks.rank.judge.endpoint import Endpoint, Reply
from tasks.rank.judge.journal import Answer, Journal, question_key
from tasks.rank.judge.pairs import choose_pairs, ranks
from tasks.rank.judge.question import Comparison, question, verdict
from tasks.rankings import RankedPrompt, Ranking

FILE = "judge.jsonl"  # in the working folder


class Judge(Protocol):
    """Whatever answers one question."""

    def ask(self, text: str) -> Reply: ...
    def close(self) -> None: ...


def rank_by_judge(
    config: JudgeConfig, items: list[Candidates], files: list[Path], seed: int, live: Live
) -> tuple[list[RankedPrompt], dict[str, Any]]:
    """One ranking a prompt of its different answers, and the metrics; origin and annotator are judge:NAME.

    files: of the local model, when rank.judge.base names one. A prompt whose answers are all the same is left out.
    Raises BadConfig when no judge, or more than one, is named, and what the judge raises. Finished questions are kept
    in ``live.work``.
    """
    asked = [item for item in items if len(item.distinct) > 1]
    wanted: list[Comparison] = []
    for number, item in enumerate(asked):
        for i, j in choose_pairs(len(item.distinct), config.pairs_per_prompt, f"{seed}:{number}"):
            wanted += [Comparison(number, i, j), Comparison(number, j, i)]
    keys = {c: question_key(asked[c.item].prompt, *_texts(asked, c)) for c in wanted}
    journal = Journal(live.work / FILE, live.main)
    missing = [c for c in wanted if keys[c] not in journal.answers]
    live.say(f"judge: {len(wanted)} questions, {len(wanted) - len(missing)} of them answered before")
    name = judge_name(config, files)
    if missing:
        _ask_all(config, files, asked, {c: keys[c] for c in missing}, journal, live, len(wanted))
    answers = {c: journal.answers[keys[c]] for c in wanted}
    found = [_ranked(number, item, answers, f"judge:{name}") for number, item in enumerate(asked)]
    return found, _metrics(answers)


def judge_name(config: JudgeConfig, files: list[Path]) -> str:
    """What the judge is called in the data. Raises BadConfig when it is not clear who judges."""
    if (config.url is None) == (config.base is None):
        raise BadConfig(
            "rank.ranker=judge needs one of rank.judge.url and rank.judge.base: an endpoint, or a local model"
        )
    if config.url is not None and not config.model:
        raise BadConfig(f"rank.judge.url={config.url}, but rank.judge.model is empty: name the model that is asked")
    if config.base is not None and not files:
        raise BadConfig(f"rank.judge.base={config.base!r} is not a folder of this machine")
    return config.model or files[0].parent.name


def _texts(asked: list[Candidates], one: Comparison) -> tuple[str, str]:
    texts = asked[one.item].distinct
    return texts[one.first], texts[one.second]


def _ask_all(
    config: JudgeConfig,
    files: list[Path],
    asked: list[Candidates],
    missing: dict[Comparison, str],
    journal: Journal,
    live: Live,
    total: int,
) -> None:
    judge, counter = _open(config, files), count(total - len(missing) + 1)

    stop = Event()

    def settle(one: Comparison) -> None:
        if stop.is_set():
            return  # another question has failed for good
        text = question(config.prompt, asked[one.item].prompt, *_texts(asked, one))
        try:
            journal.add(missing[one], _answer(judge.ask, text))
        except BaseException:
            stop.set()
            raise
        live.progress(next(counter), total, "questions")

    try:
        workers = 1 if config.base is not None else config.concurrency
        with ThreadPoolExecutor(workers) as pool:
            futures = [pool.submit(settle, one) for one in missing]
            try:
                done, _ = wait(futures, return_when=FIRST_EXCEPTION)
                for future in done:
                    future.result()
            finally:
                pool.shutdown(wait=True, cancel_futures=True)
    finally:
        judge.close()


def _open(config: JudgeConfig, files: list[Path]) -> Judge:
    if config.base is None:
        return Endpoint(config)
    from tasks.rank.judge.local import LocalModel  # torch, only where a local model judges

    return LocalModel(files[0].parent)


def _answer(ask: Callable[[str], Reply], text: str) -> Answer:
    """The verdict; a reply that cannot be read is asked for once more, and then counts as no verdict."""
    said, tokens_in, tokens_out = None, 0, 0
    for tries in (1, 2):
        reply = ask(text)
        tokens_in, tokens_out = tokens_in + reply.tokens_in, tokens_out + reply.tokens_out
        said = verdict(reply.text)
        if said is not None:
            return Answer(said, tries, tokens_in, tokens_out)
    return Answer("", 2, tokens_in, tokens_out)


def _points(there: Answer, back: Answer) -> float:
    """Points of the candidate that is first in ``there`` and second in ``back``: it wins only from both places."""
    if (there.verdict, back.verdict) == ("A", "B"):
        return 1.0
    return 0.0 if (there.verdict, back.verdict) == ("B", "A") else 0.5


def _ranked(number: int, item: Candidates, answers: dict[Comparison, Answer], origin: str) -> RankedPrompt:
    texts = item.distinct
    results, unread = [], 0
    for i in range(len(texts)):
        for j in range(i + 1, len(texts)):
            there, back = answers.get(Comparison(number, i, j)), answers.get(Comparison(number, j, i))
            if there is not None and back is not None:
                results.append((i, j, _points(there, back)))
                unread += not (there.verdict and back.verdict)
    comment = f"{unread} pairs are ties because the verdict could not be read" if unread else ""
    ranking = Ranking(ranks(len(texts), results), annotator=origin, origin=origin, comment=comment)
    return RankedPrompt(item.prompt, texts, [ranking])


def _metrics(answers: dict[Comparison, Answer]) -> dict[str, Any]:
    """judge_consistent: share of pairs with the same verdict from both places, of those with two verdicts that name a
    winner; judge_first: share of such verdicts for what stood first, ½ without position bias.
    """
    twice = [
        (answer.verdict, answers[Comparison(c.item, c.second, c.first)].verdict)
        for c, answer in answers.items()
        if c.first < c.second
    ]
    decided = [pair for pair in twice if set(pair) <= {"A", "B"}]
    named = [answer.verdict for answer in answers.values() if answer.verdict in ("A", "B")]
    return {
        "judge_questions": len(answers),
        "judge_consistent": sum(a != b for a, b in decided) / len(decided) if decided else None,
        "judge_first": named.count("A") / len(named) if named else None,
        "judge_unread": sum(not answer.verdict for answer in answers.values()),
        "judge_asked_again": sum(answer.asked > 1 for answer in answers.values()),
        "judge_tokens_in": sum(answer.tokens_in for answer in answers.values()),
        "judge_tokens_out": sum(answer.tokens_out for answer in answers.values()),
    }
