"""Golden numbers and invariances of the ranking losses."""

import math
from collections.abc import Callable
from random import Random

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from tasks.reward.losses import beats, pair_losses, plackett_luce_losses, ranking_loss, ranking_weights

Losses = Callable[[Tensor, Tensor], Tensor]
Drawn = tuple[list[float], list[int]]
BOTH = [pair_losses, plackett_luce_losses]


def of(scores: list[list[float]]) -> Tensor:
    width = max(map(len, scores))
    return torch.tensor([row + [0.0] * (width - len(row)) for row in scores], dtype=torch.float64)


def ranks(rows: list[list[int]]) -> Tensor:
    width = max(map(len, rows))
    return torch.tensor([row + [0] * (width - len(row)) for row in rows])


def test_pair_mean_of_three() -> None:
    # (softplus(-1) + softplus(-1) + softplus(-2)) / 3
    assert pair_losses(of([[1, 0, -1]]), ranks([[1, 2, 3]])).item() == pytest.approx(0.251150, abs=1e-6)


def test_plackett_luce_of_three() -> None:
    assert plackett_luce_losses(of([[1, 0, -1]]), ranks([[1, 2, 3]])).item() == pytest.approx(0.720868, abs=1e-6)


def test_prompts_count_alike_whatever_their_pairs() -> None:
    scores_RK = of([[1, 0, -1], [0.5, 0.2, -0.3, -2]])
    ranks_RK = ranks([[1, 2, 3], [1, 2, 3, 4]])
    found = ranking_loss(scores_RK, ranks_RK, torch.tensor([0, 1]), "pairs")
    assert found.item() == pytest.approx(0.271516, abs=1e-6)
    # The other answer: flat over the 3 + 6 pairs
    three, four = pair_losses(scores_RK, ranks_RK).tolist()
    assert (3 * three + 6 * four) / 9 == pytest.approx(0.278305, abs=1e-6)


def test_k_10_at_the_start() -> None:
    scores_RK, ranks_RK = torch.zeros(1, 10), ranks([list(range(1, 11))])
    assert beats(ranks_RK).sum().item() == 45
    assert pair_losses(scores_RK, ranks_RK).item() == pytest.approx(math.log(2), abs=1e-6)
    assert plackett_luce_losses(scores_RK, ranks_RK).item() == pytest.approx(15.104413, abs=1e-5)


@pytest.mark.parametrize("losses", BOTH)
def test_a_tied_pair_gives_no_pair(losses: Losses) -> None:
    scores_RK = of([[3.0, -1.0]]).requires_grad_()
    loss = losses(scores_RK, ranks([[1, 1]]))
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
@pytest.mark.parametrize("losses", BOTH)
def test_the_order_of_the_candidates_does_not_matter(losses: Losses, drawn: Drawn, random: Random) -> None:
    scores, ranking = drawn
    order = random.sample(range(len(scores)), len(scores))
    straight = losses(of([scores]), ranks([ranking]))
    permuted = losses(of([[scores[at] for at in order]]), ranks([[ranking[at] for at in order]]))
    assert permuted.item() == pytest.approx(straight.item(), abs=1e-9)


@given(ranked_scores(), st.floats(-10, 10))
@pytest.mark.parametrize("losses", BOTH)
def test_only_gaps_of_scores_matter(losses: Losses, drawn: Drawn, shift: float) -> None:
    scores, ranking = drawn
    shifted = losses(of([[score + shift for score in scores]]), ranks([ranking]))
    assert shifted.item() == pytest.approx(losses(of([scores]), ranks([ranking])).item(), abs=1e-8)


@given(st.floats(-5, 5), st.floats(-5, 5))
@pytest.mark.parametrize("losses", BOTH)
def test_two_candidates_are_bradley_terry(losses: Losses, better: float, worse: float) -> None:
    expected = -math.log(1 / (1 + math.exp(worse - better)))
    assert losses(of([[better, worse]]), ranks([[1, 2]])).item() == pytest.approx(expected, abs=1e-9)
    assert losses(of([[worse, better]]), ranks([[2, 1]])).item() == pytest.approx(expected, abs=1e-9)


@given(ranked_scores(), st.integers(1, 4), st.floats(-100, 100))
@pytest.mark.parametrize("losses", BOTH)
def test_padding_is_inert(losses: Losses, drawn: Drawn, width: int, junk: float) -> None:
    scores, ranking = drawn
    plain = of([scores]).requires_grad_()
    padded = of([scores + [junk] * width]).requires_grad_()
    for scores_RK, ranks_RK in ((plain, ranks([ranking])), (padded, ranks([ranking + [0] * width]))):
        losses(scores_RK, ranks_RK).sum().backward()
    assert plain.grad is not None
    assert padded.grad is not None
    longer = losses(padded, ranks([ranking + [0] * width])).item()
    assert longer == pytest.approx(losses(plain, ranks([ranking])).item(), abs=1e-12)
    assert torch.allclose(padded.grad[:, : len(scores)], plain.grad, atol=1e-12)
    assert padded.grad[:, len(scores) :].abs().sum() == 0


def test_annotators_share_the_weight_of_their_prompt() -> None:
    # Prompt 0: two annotators and one who ties everything; prompt 1: one annotator; prompt 2: only ties
    ranks_RK = ranks([[1, 2], [2, 1], [1, 1], [1, 2], [1, 1]])
    weight_R, prompts = ranking_weights(ranks_RK, torch.tensor([0, 0, 0, 1, 2]))
    assert weight_R.tolist() == [0.5, 0.5, 0, 1, 0]
    assert prompts == 2


def test_only_ties_cost_nothing() -> None:
    assert ranking_loss(of([[1, 2]]), ranks([[1, 1]]), torch.tensor([0]), "pairs").item() == 0


@pytest.mark.parametrize("objective", ["pairs", "plackett-luce"])
def test_gradient_raises_the_better(objective: str) -> None:
    scores_RK = torch.zeros(1, 3, requires_grad=True)
    ranking_loss(scores_RK, ranks([[2, 1, 3]]), torch.tensor([0]), objective).backward()
    assert scores_RK.grad is not None
    second, best, worst = scores_RK.grad[0].tolist()
    assert best < second < worst
    assert best < 0 < worst
