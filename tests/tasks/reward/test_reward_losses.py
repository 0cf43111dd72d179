"""Golden numbers and invariances of the ranking losses."""

import math
from collections.abc import Callable
from random import Random
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from tasks.rankings import Ranking
from tasks.reward.batches import EncodedPrompt, RankBatch, collate
from tasks.reward.losses import Objective, beats, losses, pair_losses, plackett_luce_losses, ranking_loss
from tasks.scoring import Conversation

Losses = Callable[[Tensor, Tensor], Tensor]
Drawn = tuple[list[float], list[int]]
BOTH = [pair_losses, plackett_luce_losses]


def of(scores: list[list[float]]) -> Tensor:
    width = max(map(len, scores))
    return torch.tensor([row + [0.0] * (width - len(row)) for row in scores], dtype=torch.float64)


def ranks(rows: list[list[int]]) -> Tensor:
    width = max(map(len, rows))
    return torch.tensor([row + [0] * (width - len(row)) for row in rows])


def batch_of(*prompts: list[list[int]]) -> RankBatch:
    """Prompts by the ranks that their annotators gave."""
    return collate([EncodedPrompt([Conversation([5], 0)] * len(p[0]), [Ranking(r) for r in p]) for p in prompts], 0)


def test_pair_mean_of_three() -> None:
    # (softplus(-1) + softplus(-1) + softplus(-2)) / 3
    assert pair_losses(of([[1, 0, -1]]), ranks([[1, 2, 3]])).item() == pytest.approx(0.251150, abs=1e-6)


def test_plackett_luce_of_three() -> None:
    assert plackett_luce_losses(of([[1, 0, -1]]), ranks([[1, 2, 3]])).item() == pytest.approx(0.720868, abs=1e-6)


def test_prompts_count_alike_whatever_their_pairs() -> None:
    rows = [[1, 0, -1], [0.5, 0.2, -0.3, -2]]
    batch = batch_of([[1, 2, 3]], [[1, 2, 3, 4]])
    score_BM = torch.tensor([score for row in rows for score in row], dtype=torch.float64)[:, None]
    found = ranking_loss(score_BM, batch, Objective()) / batch.prompts
    assert found.item() == pytest.approx(0.271516, abs=1e-6)
    # The other answer: flat over the 3 + 6 pairs
    three, four = pair_losses(of(rows), ranks([[1, 2, 3], [1, 2, 3, 4]])).tolist()
    assert (3 * three + 6 * four) / 9 == pytest.approx(0.278305, abs=1e-6)


def test_k_10_at_the_start() -> None:
    scores_RK, ranks_RK = torch.zeros(1, 10), ranks([list(range(1, 11))])
    assert beats(ranks_RK).sum().item() == 45
    assert pair_losses(scores_RK, ranks_RK).item() == pytest.approx(math.log(2), abs=1e-6)
    assert plackett_luce_losses(scores_RK, ranks_RK).item() == pytest.approx(15.104413, abs=1e-5)


@pytest.mark.parametrize("each", BOTH)
def test_a_tied_pair_gives_no_pair(each: Losses) -> None:
    scores_RK = of([[3.0, -1.0]]).requires_grad_()
    loss = each(scores_RK, ranks([[1, 1]]))
    loss.sum().backward()
    assert loss.item() == 0
    assert scores_RK.grad is not None
    assert scores_RK.grad.tolist() == [[0, 0]]


def test_pairs_with_a_tie_by_hand() -> None:
    # Ranks 1, 2, 2 leave two pairs: gaps 1 and 2
    expected = (math.log1p(math.exp(-1)) + math.log1p(math.exp(-2))) / 2
    assert pair_losses(of([[1, 0, -1]]), ranks([[1, 2, 2]])).item() == pytest.approx(expected)


def test_plackett_luce_with_a_tie_by_hand() -> None:
    # The first is chosen among all three; each of the tied two has nobody else to beat
    expected = math.log(math.e + 1 + math.exp(-1)) - 1
    assert plackett_luce_losses(of([[1, 0, -1]]), ranks([[1, 2, 2]])).item() == pytest.approx(expected)


@st.composite
def ranked_scores(draw: st.DrawFn) -> Drawn:
    count = draw(st.integers(2, 6))
    scores = draw(st.lists(st.floats(-5, 5), min_size=count, max_size=count))
    return scores, draw(st.lists(st.integers(1, 4), min_size=count, max_size=count))


@given(ranked_scores(), st.randoms(use_true_random=False))
@pytest.mark.parametrize("each", BOTH)
def test_the_order_of_the_candidates_does_not_matter(each: Losses, drawn: Drawn, random: Random) -> None:
    scores, ranking = drawn
    order = random.sample(range(len(scores)), len(scores))
    straight = each(of([scores]), ranks([ranking]))
    permuted = each(of([[scores[at] for at in order]]), ranks([[ranking[at] for at in order]]))
    assert permuted.item() == pytest.approx(straight.item(), abs=1e-9)


@given(ranked_scores(), st.floats(-10, 10))
@pytest.mark.parametrize("each", BOTH)
def test_only_gaps_of_scores_matter(each: Losses, drawn: Drawn, shift: float) -> None:
    scores, ranking = drawn
    shifted = each(of([[score + shift for score in scores]]), ranks([ranking]))
    assert shifted.item() == pytest.approx(each(of([scores]), ranks([ranking])).item(), abs=1e-8)


@given(st.floats(-5, 5), st.floats(-5, 5))
@pytest.mark.parametrize("each", BOTH)
def test_two_candidates_are_bradley_terry(each: Losses, better: float, worse: float) -> None:
    expected = -math.log(1 / (1 + math.exp(worse - better)))
    assert each(of([[better, worse]]), ranks([[1, 2]])).item() == pytest.approx(expected, abs=1e-9)
    assert each(of([[worse, better]]), ranks([[2, 1]])).item() == pytest.approx(expected, abs=1e-9)


@given(ranked_scores(), st.integers(1, 4), st.floats(-100, 100))
@pytest.mark.parametrize("each", BOTH)
def test_padding_is_inert(each: Losses, drawn: Drawn, width: int, junk: float) -> None:
    scores, ranking = drawn
    plain = of([scores]).requires_grad_()
    padded = of([scores + [junk] * width]).requires_grad_()
    for scores_RK, ranks_RK in ((plain, ranks([ranking])), (padded, ranks([ranking + [0] * width]))):
        each(scores_RK, ranks_RK).sum().backward()
    assert plain.grad is not None
    assert padded.grad is not None
    longer = each(padded, ranks([ranking + [0] * width])).item()
    assert longer == pytest.approx(each(plain, ranks([ranking])).item(), abs=1e-12)
    assert torch.allclose(padded.grad[:, : len(scores)], plain.grad, atol=1e-12)
    assert padded.grad[:, len(scores) :].abs().sum() == 0


def test_annotators_share_the_weight_of_their_prompt() -> None:
    # Prompt 0: two annotators and one who ties everything; prompt 1: one annotator; prompt 2: only ties
    batch = batch_of([[1, 2], [2, 1], [1, 1]], [[1, 2]], [[1, 1]])
    assert [block.weight_RM[:, 0].tolist() for block in batch.blocks] == [[0.5, 0.5, 1]]
    assert batch.prompts == 2


def test_only_ties_cost_nothing() -> None:
    batch = batch_of([[1, 1]])
    assert batch.prompts == 0
    assert ranking_loss(torch.tensor([[1.0], [2.0]]), batch, Objective()).item() == 0


@pytest.mark.parametrize("kind", ["pairs", "plackett-luce"])
def test_gradient_raises_the_better(kind: Any) -> None:
    score_BM = torch.zeros(3, 1, requires_grad=True)
    ranking_loss(score_BM, batch_of([[2, 1, 3]]), Objective(kind)).backward()
    assert score_BM.grad is not None
    second, best, worst = score_BM.grad[:, 0].tolist()
    assert best < second < worst
    assert best < 0 < worst


@pytest.mark.parametrize("kind", ["pairs", "plackett-luce"])
def test_an_unranked_candidate_takes_no_part(kind: Any) -> None:
    """Rank 0 stands for what an annotator did not rank: no loss, no gradient, whatever its score."""
    whole = torch.tensor([[1.0], [9.0], [0.0], [-1.0]], requires_grad=True)
    found = ranking_loss(whole, batch_of([[1, 0, 2, 3]]), Objective(kind))
    found.backward()
    rest = ranking_loss(torch.tensor([[1.0], [0.0], [-1.0]]), batch_of([[1, 2, 3]]), Objective(kind))
    assert found.item() == pytest.approx(rest.item())
    assert whole.grad is not None
    assert whole.grad[1].item() == 0


@pytest.mark.parametrize("kind", ["pairs", "plackett-luce"])
def test_many_partial_rankings_of_many_answers_stay_small(kind: Any) -> None:
    """52 answers, one full ranking and 2,000 judgements of two: padded to the widest they would be 5 million cells."""
    rng = Random(0)
    partial = []
    for _ in range(2000):
        row = [0] * 52
        first, second = rng.sample(range(52), 2)
        row[first], row[second] = 1, 2
        partial.append(row)
    full = list(range(1, 53))
    batch = batch_of([full, *partial])
    assert [tuple(block.ranks_RK.shape) for block in batch.blocks] == [(1, 52), (2000, 2)]
    score_BM = torch.randn(52, 1, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    padded = losses(
        score_BM[:, 0].expand(2001, -1), ranks([full, *partial]), torch.full((2001, 52), math.nan), Objective(kind)
    )
    assert ranking_loss(score_BM, batch, Objective(kind)).item() == pytest.approx(padded.mean().item(), rel=1e-5)


def test_margin_by_rank_by_hand() -> None:
    # Llama 2: -log sigmoid(better - worse - m), m = .5 a rank. Gaps 1, 2, 1 and distances 1, 2, 1
    expected = (2 * math.log1p(math.exp(-1 + 0.5)) + math.log1p(math.exp(-2 + 1.0))) / 3
    batch = batch_of([[1, 2, 3]])
    found = ranking_loss(torch.tensor([[1.0], [0.0], [-1.0]]), batch, Objective(margin="rank", margin_scale=0.5))
    assert found.item() == pytest.approx(expected, abs=1e-6)


def test_margin_by_rating_by_hand() -> None:
    # Ratings 9 and 6, a tenth a point: m = .3. Without ratings there is no margin
    rated = collate([EncodedPrompt([Conversation([5], 0)] * 2, [Ranking([1, 2], ratings=[9.0, 6.0])])], 0)
    score_BM, objective = torch.tensor([[1.0], [0.0]]), Objective(margin="rating", margin_scale=0.1)
    assert ranking_loss(score_BM, rated, objective).item() == pytest.approx(math.log1p(math.exp(-0.7)), abs=1e-6)
    plain = ranking_loss(score_BM, batch_of([[1, 2]]), objective)
    assert plain.item() == pytest.approx(math.log1p(math.exp(-1)), abs=1e-6)


def test_ratings_that_contradict_a_rank_ask_for_nothing() -> None:
    batch = collate([EncodedPrompt([Conversation([5], 0)] * 2, [Ranking([1, 2], ratings=[1.0, 6.0])])], 0)
    found = ranking_loss(torch.zeros(2, 1), batch, Objective(margin="rating"))
    assert found.item() == pytest.approx(math.log(2), abs=1e-6)


@given(ranked_scores(), st.floats(-3, 3))
def test_centring_is_that_of_trl(drawn: Drawn, shift: float) -> None:
    """The mean of (chosen + rejected)² over the pairs; for two answers what TRL adds to its loss."""
    scores, ranking = [one + shift for one in drawn[0]], drawn[1]
    gaps = [
        (scores[i] + scores[j]) ** 2 for i in range(len(scores)) for j in range(len(scores)) if ranking[i] < ranking[j]
    ]
    expected = 0.01 * sum(gaps) / max(len(gaps), 1)
    absent = torch.full((1, len(scores)), math.nan)
    with_it = losses(of([scores]), ranks([ranking]), absent, Objective(centre=0.01))
    without = losses(of([scores]), ranks([ranking]), absent, Objective())
    assert (with_it - without).item() == pytest.approx(expected, abs=1e-9)


def test_label_smoothing_by_hand() -> None:
    expected = 0.9 * math.log1p(math.exp(-2)) + 0.1 * math.log1p(math.exp(2))
    found = pair_losses(of([[1, -1]]), ranks([[1, 2]]), label_smoothing=0.1)
    assert found.item() == pytest.approx(expected, abs=1e-9)


def test_members_have_weights_of_their_own() -> None:
    """A prompt that a member's bootstrap drew twice counts twice for it, and one that was not drawn not at all."""
    prompt = EncodedPrompt([Conversation([5], 0)] * 2, [Ranking([1, 2])], weights=(2.0, 0.0))
    score_BM = torch.tensor([[1.0, 5.0], [0.0, -5.0]], requires_grad=True)
    found = ranking_loss(score_BM, collate([prompt], 0), Objective())
    found.backward()
    assert found.item() == pytest.approx(2 * math.log1p(math.exp(-1)) / 2, abs=1e-6)
    assert score_BM.grad is not None
    assert score_BM.grad[:, 1].abs().sum() == 0
