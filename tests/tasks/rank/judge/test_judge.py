"""A judge behind a real HTTP server that is sound, biased, noisy, busy, broken or slow; and a local model."""

import json
import os
import random
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from hypothesis import given
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from tiny_parts import save_models

from configs.recipe import RecipeError, load_recipe
from configs.schema.judge import JudgeConfig
from configs.schema.rank import RankConfig
from tasks.candidate_rows import Candidates, write_candidates
from tasks.chat import user
from tasks.failures import BadConfig, ServiceFailure
from tasks.inputs import Inputs
from tasks.live import Live
from tasks.rank.build import build_rankings
from tasks.rank.judge.pairs import choose_pairs, ranks
from tasks.rank.judge.question import question, verdict
from tasks.rank.judge.rank import FILE, rank_by_judge
from tasks.rankings import read_rankings

KEY = "judge-key-that-nobody-may-see"
ITEMS = [Candidates(user(f"question {n}"), ["4 best", "2", "3", "2", "1 worst"], 0) for n in range(3)]
Behave = Callable[[str, int], str | Response]


def shown(text: str) -> tuple[str, str]:
    """The two answers as the judge sees them."""
    first, second = (text.split(f"<answer {letter}>\n")[1].split("\n</answer", maxsplit=1)[0] for letter in "AB")
    return first, second


def sound(text: str, _: int) -> str:
    first, second = shown(text)
    return "A" if first > second else "B"


class Server:
    """The OpenAI chat API. behave: (question, its number from 1) → the reply's text, or a whole response."""

    def __init__(self, behave: Behave) -> None:
        self.behave, self.asked, self.most, self.now = behave, [], 0, 0
        self.questions: list[str] = []
        self.headers: list[str] = []
        self.lock = threading.Lock()
        app = Starlette(routes=[Route("/v1/chat/completions", self.answer, methods=["POST"])])
        self.server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error"))
        self.thread = threading.Thread(target=self.server.run, daemon=True)

    def answer(self, request: Request) -> Response:  # Starlette runs it in a thread of its own
        import anyio.from_thread

        body = anyio.from_thread.run(request.json)
        text = body["messages"][0]["content"]
        with self.lock:
            self.questions.append(text)
            self.headers.append(request.headers.get("authorization", ""))
            number, self.now = len(self.questions), self.now + 1
            self.most = max(self.most, self.now)
        try:
            said = self.behave(text, number)
        finally:
            with self.lock:
                self.now -= 1
        if isinstance(said, Response):
            return said
        usage = {"prompt_tokens": 10, "completion_tokens": 1}
        return JSONResponse({"choices": [{"message": {"role": "assistant", "content": said}}], "usage": usage})


@contextmanager
def serving(behave: Behave) -> Iterator[tuple[Server, str]]:
    server = Server(behave)
    server.thread.start()
    while not server.server.started:
        time.sleep(0.01)
    port = server.server.servers[0].sockets[0].getsockname()[1]
    try:
        yield server, f"http://127.0.0.1:{port}/v1"
    finally:
        server.server.should_exit = True
        server.thread.join(10)


def rank(tmp_path: Path, url: str, items: list[Candidates] = ITEMS, **settings: Any) -> tuple[Any, dict[str, Any]]:
    work = tmp_path / "work"
    work.mkdir(exist_ok=True)
    plain = {"url": url, "model": "m", "backoff_seconds": 0.01, "timeout_seconds": 5.0}
    return rank_by_judge(JudgeConfig(**plain | settings), items, [], 0, Live(work))


def test_every_pair_is_asked_twice_and_gives_ranks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with serving(sound) as (server, url):
        found, metrics = rank(tmp_path, url)
        assert len(server.questions) == 3 * 6 * 2  # four different answers
        assert set(Counter(server.questions).values()) == {1}
        assert set(server.headers) == {f"Bearer {KEY}"}
    for item in found:
        assert item.candidates == ["4 best", "2", "3", "1 worst"]
        assert item.ranks == [[1, 3, 2, 4]]
        assert (item.rankings[0].origin, item.rankings[0].annotator) == ("judge:m", "judge:m")
    assert metrics == {
        "judge_questions": 36,
        "judge_consistent": 1.0,
        "judge_first": 0.5,
        "judge_unread": 0,
        "judge_asked_again": 0,
        "judge_tokens_in": 360,
        "judge_tokens_out": 36,
    }
    assert not any(KEY in file.read_text() for file in (tmp_path / "work").iterdir())


def test_a_judge_that_likes_the_first_place_says_nothing(tmp_path: Path) -> None:
    with serving(lambda *_: "[[A]]") as (_, url):
        found, metrics = rank(tmp_path, url)
    assert [item.ranks for item in found] == [[[1, 1, 1, 1]]] * 3
    assert (metrics["judge_consistent"], metrics["judge_first"]) == (0.0, 1.0)


def test_a_judge_that_cannot_be_read_is_asked_once_more(tmp_path: Path) -> None:
    def mumbles(text: str, number: int) -> str:
        return "I would rather not" if "question 0" in text or number == 1 else sound(text, number)

    with serving(mumbles) as (server, url):
        found, metrics = rank(tmp_path, url, concurrency=1)
        assert len(server.questions) == 12 * 2 + 24
    assert found[0].ranks == [[1, 1, 1, 1]]
    assert found[0].rankings[0].comment == "6 pairs are ties because the verdict could not be read"
    assert found[1].ranks == [[1, 3, 2, 4]]
    assert (metrics["judge_unread"], metrics["judge_asked_again"]) == (12, 12)


def test_a_busy_and_failing_server_is_asked_again(tmp_path: Path) -> None:
    trouble = [
        PlainTextResponse("slow down", 429, {"Retry-After": "0.2"}),
        PlainTextResponse("oops", 500),
        PlainTextResponse("<html>", 200),
        JSONResponse({"choices": []}),
        PlainTextResponse("", 503),
    ]
    with serving(lambda text, n: trouble[n - 1] if n <= len(trouble) else sound(text, n)) as (server, url):
        begin = time.monotonic()
        found, _ = rank(tmp_path, url, ITEMS[:1], concurrency=1)
        assert time.monotonic() - begin > 0.2
        assert len(server.questions) == 12 + 5
    assert found[0].ranks == [[1, 3, 2, 4]]


def test_a_slow_server_is_given_up_and_what_it_said_is_kept(tmp_path: Path) -> None:
    def hangs(text: str, number: int) -> str:
        if number > 5:
            time.sleep(3)
        return sound(text, number)

    with serving(hangs) as (_, url), pytest.raises(ServiceFailure, match=r"2 tries.*ReadTimeout.*is kept"):
        rank(tmp_path, url, concurrency=1, timeout_seconds=1.0, attempts=2)
    answered = sum(line.endswith("}") for line in (tmp_path / "work" / FILE).read_text().splitlines())
    assert 1 <= answered <= 5
    with serving(sound) as (server, url):
        found, metrics = rank(tmp_path, url)
        assert len(server.questions) == 36 - answered
    assert [item.ranks for item in found] == [[[1, 3, 2, 4]]] * 3
    assert metrics["judge_tokens_in"] == 360  # what the first attempt paid counts as well


def test_a_line_that_a_kill_cut_short_is_asked_again(tmp_path: Path) -> None:
    with serving(sound) as (server, url):
        rank(tmp_path, url)
        journal = tmp_path / "work" / FILE
        journal.write_text(journal.read_text()[:-20], encoding="utf-8")
        found, _ = rank(tmp_path, url)
        assert len(server.questions) == 37
        assert len({json.loads(line)["question"] for line in journal.read_text().splitlines()[-1:]}) == 1
    assert found[2].ranks == [[1, 3, 2, 4]]


CHILD = """
import sys
from pathlib import Path
from configs.schema.judge import JudgeConfig
from tasks.candidate_rows import Candidates
from tasks.chat import user
from tasks.live import Live
from tasks.rank.judge.rank import rank_by_judge
items = [Candidates(user(f"question {n}"), ["4 best", "2", "3", "2", "1 worst"], 0) for n in range(3)]
rank_by_judge(JudgeConfig(url=sys.argv[1], model="m", concurrency=3), items, [], 0, Live(Path(sys.argv[2])))
"""


def test_a_killed_run_asks_only_what_is_missing(tmp_path: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()

    def takes_time(text: str, number: int) -> str:
        time.sleep(0.05)
        return sound(text, number)

    with serving(takes_time) as (server, url):
        path = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        child = subprocess.Popen([sys.executable, "-c", CHILD, url, str(work)], env=path)
        while len(server.questions) < 12:
            assert child.poll() is None
            time.sleep(0.01)
        child.kill()
        child.wait()
        answered = sum(line.endswith("}") for line in (work / FILE).read_text().splitlines())
        assert answered >= 9
        before = len(server.questions)
        found, _ = rank(tmp_path, url)
        assert len(server.questions) - before == 36 - answered  # what was under way is asked again, nothing else
    assert [item.ranks for item in found] == [[[1, 3, 2, 4]]] * 3


def test_a_noisy_judge_is_right_more_often_than_not_and_says_how_noisy(tmp_path: Path) -> None:
    rng = random.Random(0)

    def noisy(text: str, number: int) -> str:
        said = sound(text, number)
        return said if rng.random() < 0.8 else "AB".replace(said, "")

    many = [Candidates(user(f"q{n}"), ["4", "3", "2", "1"], 0) for n in range(25)]
    with serving(noisy) as (_, url):
        found, metrics = rank(tmp_path, url, many)
    # Both orders agree when both or neither are flipped: .8² + .2² = .68
    assert metrics["judge_consistent"] == pytest.approx(0.68, abs=0.12)
    assert metrics["judge_first"] == pytest.approx(0.5, abs=0.1)
    right = [item.ranks[0][i] < item.ranks[0][j] for item in found for i in range(4) for j in range(i + 1, 4)]
    assert sum(right) / len(right) > 0.7


def test_a_wrong_key_is_refused_at_once_and_not_repeated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", KEY)
    answer = PlainTextResponse(f"invalid key {KEY}", 401)
    with serving(lambda *_: answer) as (server, url):
        with pytest.raises(BadConfig, match=r"status 401.*MY_KEY") as error:
            rank(tmp_path, url, concurrency=1, key_env="MY_KEY")
        assert len(server.questions) == 1
    assert KEY not in str(error.value)


def test_questions_go_side_by_side_up_to_the_limit(tmp_path: Path) -> None:
    def takes_time(text: str, number: int) -> str:
        time.sleep(0.02)
        return sound(text, number)

    with serving(takes_time) as (server, url):
        rank(tmp_path, url, concurrency=4)
        assert 2 <= server.most <= 4


def test_a_budget_gives_partial_rankings(tmp_path: Path) -> None:
    item = Candidates(user("q"), [str(n) for n in range(9)], 0)
    with serving(sound) as (server, url):
        found, _ = rank(tmp_path, url, [item], pairs_per_prompt=3)
        assert len(server.questions) == 6
    ranked = found[0].rankings[0].ranks
    assert sum(rank > 0 for rank in ranked) == 4
    assert min(rank for rank in ranked if rank) == 1


@given(st.integers(2, 12), st.integers(1, 80), st.integers(0, 5))
def test_pairs_are_different_and_hang_together(count: int, most: int, seed: int) -> None:
    found = choose_pairs(count, most, str(seed))
    assert len(found) == len(set(found)) == min(most, count * (count - 1) // 2)
    assert all(first < second < count for first, second in found)
    assert found == choose_pairs(count, most, str(seed))
    if most >= count - 1:
        reached = {0}
        for _ in range(count):
            reached |= {one for pair in found if set(pair) & reached for one in pair}
        assert reached == set(range(count))


def test_ranks_by_copeland() -> None:
    assert ranks(3, [(0, 1, 1.0), (1, 2, 1.0), (0, 2, 1.0)]) == [1, 2, 3]
    assert ranks(3, [(0, 1, 1.0), (1, 2, 1.0), (0, 2, 0.0)]) == [1, 1, 1]  # a cycle is a tie
    assert ranks(4, [(0, 1, 0.5), (0, 2, 1.0)]) == [1, 2, 3, 0]


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        ("A", "A"),
        (" b.", None),
        ("**B**", "B"),
        ("I think [[C]] it is", "C"),
        ("[[A]] or [[B]]", None),
        ("A is better", None),
        ("<think>B? A?</think>\nA", "A"),
        ("", None),
    ],
)
def test_verdicts_are_read_strictly(reply: str, said: str | None) -> None:
    assert verdict(reply) == said


def test_texts_cannot_fill_in_fields() -> None:
    assert question("{prompt}|{first}|{second}", user("{second}"), "{prompt}", "x") == "{second}|{prompt}|x"


def test_who_judges_must_be_clear(tmp_path: Path) -> None:
    with pytest.raises(BadConfig, match="one of"):
        rank_by_judge(JudgeConfig(), ITEMS, [], 0, Live(tmp_path))
    with pytest.raises(BadConfig, match=r"rank\.judge\.model is empty"):
        rank_by_judge(JudgeConfig(url="http://127.0.0.1:1/v1"), ITEMS, [], 0, Live(tmp_path))
    with pytest.raises(ValueError, match=r"lacks \{second\}"):
        JudgeConfig(prompt="{prompt} {first}")


def test_several_rankers_keep_their_origin(tmp_path: Path) -> None:
    candidates, out, work = tmp_path / "candidates", tmp_path / "out", tmp_path / "work"
    for folder in (candidates, out, work):
        folder.mkdir()
    write_candidates(candidates, ITEMS)
    with serving(sound) as (_, url):
        config = RankConfig(ranker=["shortest", "judge"], judge=JudgeConfig(url=url, model="m"), seed=0)
        metrics = build_rankings(config, Inputs(folders={"candidates": candidates}), out, Live(work))
    items = read_rankings(out, "train") + read_rankings(out, "heldout")
    assert len(items) == 3  # one row a prompt, with both rankings
    assert {tuple(ranking.origin for ranking in item.rankings) for item in items} == {("shortest", "judge:m")}
    assert metrics["judge_consistent"] == 1.0
    assert metrics["annotators"] == 1


def test_a_judge_must_be_named_where_one_ranks() -> None:
    with pytest.raises(RecipeError, match="go together"):
        load_recipe("nano", ["rank.ranker=judge"])
    assert load_recipe("nano", ['rank.ranker=["rubric","judge"]', "rank.judge.model=m"]).rank.rankers == [
        "rubric",
        "judge",
    ]
    with pytest.raises(RecipeError, match="settings are stored and shown in clear"):
        load_recipe("nano", ["rank.ranker=judge", f"rank.judge.model=sk-{'a' * 24}"])


def test_a_local_model_judges_without_a_server(tmp_path: Path) -> None:
    folder = save_models(tmp_path)["base"]
    short = JudgeConfig(base=str(folder), prompt="{prompt}|{first}|{second}")
    work = tmp_path / "work"
    work.mkdir()
    files = [folder / "config.json"]
    found, metrics = rank_by_judge(short, ITEMS, files, 0, Live(work))
    assert found[0].rankings[0].origin == "judge:base"
    assert metrics["judge_questions"] == 36
    again = tmp_path / "again"
    again.mkdir()
    assert rank_by_judge(short, ITEMS, files, 0, Live(again))[0] == found
    with pytest.raises(BadConfig, match="128 positions"):
        rank_by_judge(JudgeConfig(base=str(folder)), ITEMS, files, 0, Live(tmp_path))


@pytest.mark.real
@pytest.mark.skipif("PLUMBLINE_TEST_DATA" not in os.environ, reason="PLUMBLINE_TEST_DATA is not set")
def test_a_real_local_model_judges(tmp_path: Path) -> None:
    folder = Path(os.environ["PLUMBLINE_TEST_DATA"]) / "models" / "stories260K_hf"
    config = JudgeConfig(base=str(folder), prompt="{prompt} First: {first} Second: {second}. Better is")
    items = [Candidates(user("Tell a story."), ["Once upon a time there was a dog.", "dog dog dog", "No."], 0)]
    found, metrics = rank_by_judge(config, items, [folder / "config.json"], 0, Live(tmp_path))
    assert sorted(found[0].rankings[0].ranks)[0] == 1
    assert metrics["judge_questions"] == 6
    assert 0 <= metrics["judge_first"] <= 1
