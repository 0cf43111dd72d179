"""Shares, caps and curriculum stages of the mix; without a mix, an order by content hash."""

from collections import Counter
from hashlib import blake2b
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from configs.schema.mix import MixConfig, MixStage
from tasks.corpus.document import folded_digest, share_of
from tasks.corpus.ordering import Mixed, order_documents, order_mix
from tasks.corpus.proportions import MixPlan, plan_mix, token_shares
from tasks.failures import BadConfig, BadData

NAMES = ["web", "books", "code"]


def digests_of(count: int, salt: int = 0) -> NDArray[np.uint8]:
    rows = (blake2b(f"{salt} {number}".encode(), digest_size=16).digest() for number in range(count))
    return np.frombuffer(b"".join(rows), dtype=np.uint8).reshape(count, 16)


def corpus(counts: tuple[int, ...], longest: int, seed: int) -> tuple[NDArray[np.uint8], ...]:
    """Digests, sources, tokens of so many documents a source, of 1 to ``longest`` tokens."""
    sources = np.repeat(np.arange(len(counts)), counts)
    draw = np.random.default_rng(seed)
    return digests_of(len(sources), seed), sources, draw.integers(1, longest + 1, len(sources))


def supply(sources: NDArray[np.int64], tokens: NDArray[np.int64], count: int = 3) -> NDArray[np.int64]:
    return np.bincount(sources, weights=tokens, minlength=count).astype(np.int64)


@given(
    st.lists(st.tuples(st.integers(0, 2), st.booleans()), max_size=60),
    st.tuples(*[st.sampled_from([0.01, 0.25, 0.5, 1.0, 1.75, 3.0, 2.5])] * 3),
    st.integers(0, 2**40),
)
@settings(max_examples=100)
def test_without_a_mix_the_order_is_by_hash_copy_and_position(
    rows: list[tuple[int, bool]], epochs: tuple[float, ...], seed: int
) -> None:
    digests = [folded_digest("same" if same else f"text {number}") for number, (_, same) in enumerate(rows)]
    placed = []
    for position, ((source, _), digest) in enumerate(zip(rows, digests, strict=True)):
        whole = int(epochs[source])
        times = whole + (share_of(digest, "epochs", seed) < epochs[source] - whole)
        placed += [(share_of(digest, f"order {copy}", seed), copy, position) for copy in range(times)]
    table = np.frombuffer(b"".join(digests), dtype=np.uint8).reshape(len(rows), 16)
    order = order_documents(table, np.array([source for source, _ in rows], dtype=np.int64), np.array(epochs), seed)
    assert order.tolist() == [position for *_, position in sorted(placed)]


def test_shares_go_with_a_power_of_the_tokens() -> None:
    available = np.array([8_000_000, 1_000_000, 0])
    assert token_shares(available, 1).tolist() == pytest.approx([8 / 9, 1 / 9, 0])
    assert token_shares(available, 3).tolist() == pytest.approx([2 / 3, 1 / 3, 0])
    assert token_shares(available, 1e9).tolist() == pytest.approx([0.5, 0.5, 0])


def test_arithmetic_by_hand() -> None:
    available = np.array([1000, 200, 100])
    config = MixConfig(weights={"web": 5, "books": 3, "code": 2}, tokens=1000, max_epochs=2)
    # 500 + 300 + 200 tokens: .5, 1.5 and 2 epochs
    assert plan_mix(config, NAMES, available).epochs.tolist() == pytest.approx([0.5, 1.5, 2.0])
    # Twice as many: books would be 3 epochs and code 4; at 400 and 200 web takes the other 1400
    plan = plan_mix(config.model_copy(update={"tokens": 2000}), NAMES, available)
    assert plan.stages[0].tokens.tolist() == pytest.approx([[1400, 400, 200]][0])
    assert [line.split(":")[0] for line in plan.warnings] == ["source 'books'", "source 'code'"]
    assert "share 0.3000 of 2,000 tokens would be 3.00 epochs of its 200 tokens" in plan.warnings[0]
    assert "with mix.max_epochs=2 its share is 0.2000: lower its weight" in plan.warnings[0]
    # Without a budget the shares hold: code has 200 at most, a fifth of 1000
    plan = plan_mix(config.model_copy(update={"tokens": None}), NAMES, available)
    assert plan.stages[0].tokens.tolist() == pytest.approx([500, 300, 200])
    assert plan.warnings == ()
    assert "1,000 of 1,300 tokens: source 'code' has 100 and is seen mix.max_epochs=2 times" in plan.limit
    # All at their cap
    plan = plan_mix(config.model_copy(update={"tokens": 9000}), NAMES, available)
    assert plan.stages[0].tokens.tolist() == pytest.approx([2000, 400, 200])
    assert "the mix has 2,600 of 9,000 tokens" in plan.warnings[-1]


def test_a_cap_in_one_stage_is_filled_by_the_sources_of_that_stage() -> None:
    stages = [
        MixStage(name="broad", share=0.5, weights={"web": 1, "books": 1, "code": 0}),
        MixStage(name="fine", share=0.5, weights={"web": 0, "books": 1, "code": 1}),
    ]
    plan = plan_mix(MixConfig(stages=stages, tokens=1000, max_epochs=1), NAMES, np.array([900, 400, 900]))
    # Books: 500 asked, 400 there, 200 in each stage
    assert [stage.tokens.tolist() for stage in plan.stages] == [
        pytest.approx([300, 200, 0]),
        pytest.approx([0, 200, 300]),
    ]
    assert len(plan.warnings) == 1


@given(
    st.tuples(*[st.integers(1, 10_000)] * 3),
    st.tuples(*[st.floats(0.01, 10)] * 3),
    st.floats(0.1, 5),
    st.none() | st.integers(1, 60_000),
)
def test_caps_hold_and_shares_are_exact_or_reported(
    available: tuple[int, ...], weights: tuple[float, ...], cap: float, budget: int | None
) -> None:
    config = MixConfig(weights=dict(zip(NAMES, weights, strict=True)), max_epochs=cap, tokens=budget)
    plan = plan_mix(config, NAMES, np.array(available))
    tokens = plan.stages[0].tokens
    assert (plan.epochs <= cap * (1 + 1e-6)).all()
    if plan.warnings:
        assert budget is not None
        short = {line.split("'")[1] for line in plan.warnings if line.startswith("source")}
        at_cap = {name for name, often in zip(NAMES, plan.epochs, strict=True) if often >= cap * (1 - 1e-6)}
        assert short <= at_cap
        assert tokens.sum() == pytest.approx(min(budget, cap * sum(available)))
    else:
        assert tokens / tokens.sum() == pytest.approx(plan.stages[0].asked)
        assert tokens.sum() == pytest.approx(budget) if budget else tokens.sum() <= sum(available) * (1 + 1e-9)


def stages_of(*orders: str) -> list[MixStage]:
    weights = [{"web": 6, "books": 3, "code": 1}, {"web": 2, "books": 3, "code": 5}, {"web": 1, "books": 1, "code": 2}]
    shares = {1: [1.0], 2: [0.7, 0.3], 3: [0.5, 0.3, 0.2]}[len(orders)]
    return [
        MixStage(name=f"s{at}", share=share, weights=weights[at], order=order)  # type: ignore[arg-type]
        for at, (share, order) in enumerate(zip(shares, orders, strict=True))
    ]


def mixed(
    config: MixConfig, parts: tuple[NDArray[np.uint8], ...], seed: int = 0, names: list[str] = NAMES
) -> tuple[MixPlan, Mixed]:
    digests, sources, tokens = parts
    plan = plan_mix(config, names, supply(sources, tokens, len(names)))
    return plan, order_mix(plan, names, digests, sources, tokens, seed)


@given(st.integers(0, 10**6), st.sampled_from([1, 2, 3]), st.sampled_from([None, 40_000, 90_000]))
@settings(max_examples=25)
def test_realised_shares_are_within_a_hundredth(seed: int, stages: int, budget: int | None) -> None:
    parts = corpus((3000, 2000, 1500), 12, seed)
    plan, result = mixed(MixConfig(stages=stages_of(*["shuffle"] * stages), tokens=budget, max_epochs=9), parts, seed)
    asked = np.array([stage.asked for stage in plan.stages])
    assert not plan.warnings
    assert not result.warnings
    assert np.abs(result.shares() / asked - 1).max() < 0.01
    _, sources, tokens = parts
    for stage, (begin, end) in enumerate(pairwise([0, *result.ends.tolist()])):
        chosen = result.documents[begin:end]
        assert supply(sources[chosen], tokens[chosen]).tolist() == result.tokens[stage].tolist()
    planned = np.cumsum([stage.tokens for stage in plan.stages], axis=0)
    assert (np.abs(np.cumsum(result.tokens, axis=0) - planned) <= 6).all()  # half of the longest document


@given(st.integers(0, 10**6), st.sampled_from([("shuffle", "shuffle"), ("length", "shuffle", "length")]))
@settings(max_examples=20)
def test_order_of_reading_changes_nothing(seed: int, orders: tuple[str, ...]) -> None:
    parts = corpus((60, 30, 20), 30, seed)
    config = MixConfig(stages=stages_of(*orders), tokens=3000, max_epochs=50)
    shuffle = np.random.default_rng(seed).permutation(len(parts[0]))
    _, once = mixed(config, parts, seed)
    _, again = mixed(config, tuple(part[shuffle] for part in parts), seed)
    assert shuffle[again.documents].tolist() == once.documents.tolist()
    assert again.copies.tolist() == once.copies.tolist()
    assert again.ends.tolist() == once.ends.tolist()


def test_no_document_comes_again_before_its_source_is_used_up() -> None:
    parts = corpus((50, 30, 20), 30, 3)
    _, result = mixed(MixConfig(stages=stages_of("shuffle", "length", "shuffle"), tokens=6000, max_epochs=50), parts)
    seen: Counter[int] = Counter()
    repeated = 0
    for begin, end in pairwise([0, *result.ends.tolist()]):
        seen.update(result.documents[begin:end].tolist())
        for source in range(3):
            times = [seen[document] for document in np.flatnonzero(parts[1] == source).tolist()]
            assert max(times) - min(times) <= 1
            repeated += max(times) > 1
    assert repeated > 3


def test_stage_in_order_of_a_field() -> None:
    parts = corpus((60, 30, 20), 30, 5)
    digests, sources, tokens = parts
    plan, result = mixed(MixConfig(stages=stages_of("length", "shuffle")), parts)
    lengths = tokens[result.documents[: result.ends[0]]].tolist()
    assert lengths == sorted(lengths)
    rest = tokens[result.documents[result.ends[0] :]].tolist()
    assert rest != sorted(rest)
    plan = plan_mix(MixConfig(stages=stages_of("quality")), NAMES, supply(sources, tokens))
    with pytest.raises(BadData, match="no 'quality' to be ordered by"):
        order_mix(plan, NAMES, digests, sources, tokens, 0)
    scores = np.random.default_rng(0).random(len(tokens))
    best_last = scores[order_mix(plan, NAMES, digests, sources, tokens, 0, {"quality": scores}).documents]
    assert (np.diff(best_last) >= 0).all()


def test_more_tokens_add_documents_and_a_new_source_keeps_the_order_of_the_others() -> None:
    parts = corpus((300, 200, 100), 30, 7)
    weights = {"web": 1, "books": 1, "code": 1}
    small = mixed(MixConfig(weights=weights, tokens=1500), parts)[1]
    large = mixed(MixConfig(weights=weights, tokens=2400), parts)[1]
    assert set(small.documents.tolist()) < set(large.documents.tolist())
    inside = set(small.documents.tolist())
    assert [at for at in large.documents.tolist() if at in inside] == small.documents.tolist()
    old = parts[1] < 2
    two = mixed(
        MixConfig(weights={"web": 1, "books": 1}, tokens=2400), tuple(part[old] for part in parts), names=NAMES[:2]
    )[1]
    kept = set(large.documents.tolist()) & set(two.documents.tolist())
    assert len(kept) > 50
    assert [at for at in large.documents.tolist() if at in kept] == [at for at in two.documents.tolist() if at in kept]
    assert (
        mixed(MixConfig(weights=weights, tokens=1500), parts, seed=1)[1].documents.tolist() != small.documents.tolist()
    )


def test_long_documents_that_spoil_a_share_are_reported() -> None:
    digests, sources, tokens = corpus((300, 3, 100), 30, 7)
    tokens[sources == 1] = 1000
    _, result = mixed(MixConfig(weights={"web": 1, "books": 1, "code": 1}, tokens=1400), (digests, sources, tokens))
    assert "source 'books': share 0.0000 where 0.3333 was planned; a document has up to 1,000" in result.warnings[1]


def test_settings_that_do_not_fit() -> None:
    available = np.array([10, 10, 0])
    with pytest.raises(BadConfig, match="no source is called 'wiki'; the sources: web, books, code"):
        plan_mix(MixConfig(weights={"wiki": 1}), NAMES, available)
    with pytest.raises(BadConfig, match="source 'books' has no weight; 0 leaves it out"):
        plan_mix(MixConfig(weights={"web": 1}), NAMES, available)
    with pytest.raises(BadData, match="source 'code' has no tokens left"):
        plan_mix(MixConfig(weights={"web": 1, "books": 0, "code": 1}), NAMES, available)
    with pytest.raises(BadData, match="no source has tokens"):
        plan_mix(MixConfig(), NAMES, available * 0)
    with pytest.raises(BadConfig, match=r"would be 50\.00 epochs"):
        plan_mix(MixConfig(tokens=1000, when_short="stop"), NAMES, available)
    for values, message in (
        ({"weights": {"web": -1}}, "web=-1.0"),
        ({"weights": {"web": 0}}, "all are 0"),
        ({"weights": {"web": 1}, "temperature": 2}, "set one of them"),
        ({"stages": [{"name": "a", "share": 0.5}]}, "add up to 0.5"),
        ({"stages": [{"name": "a", "share": 0.5}, {"name": "a", "share": 0.5}]}, "name of its own"),
    ):
        with pytest.raises(ValueError, match=message):
            MixConfig.model_validate(values)
