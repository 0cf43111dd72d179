"""Items of one file that belong together, as one: its groups are held in memory until the file ends."""

from collections.abc import Iterable, Iterator

from tasks.rank.layouts.item import Unpaired
from tasks.rankings import RankedPrompt, Ranking, prompt_key


def one_item_a_prompt(items: Iterable[RankedPrompt | Unpaired]) -> Iterator[RankedPrompt | Unpaired]:
    """One item a prompt with all of its candidates; in each ranking those that it did not compare have no rank.

    Ratings and places, which cannot be partial, are kept where a prompt has one set of candidates.
    """
    groups: dict[str, list[RankedPrompt]] = {}
    for item in items:
        if isinstance(item, RankedPrompt):
            groups.setdefault(item.prompt_key, []).append(item)
        else:
            yield item
    for group in groups.values():
        yield _union(group)


def _union(group: list[RankedPrompt]) -> RankedPrompt:
    models: dict[str, str] = {}
    for item in group:
        for text, model in zip(item.candidates, item.models or [""] * len(item.candidates), strict=True):
            models[text] = models.get(text) or model
    texts = list(models)
    rankings = [_spread(ranking, item.candidates, texts) for item in group for ranking in item.rankings]
    return RankedPrompt(group[0].prompt, texts, rankings, list(models.values()) if any(models.values()) else [])


def _spread(ranking: Ranking, candidates: list[str], texts: list[str]) -> Ranking:
    places = {text: number for number, text in enumerate(candidates)}
    if len(places) == len(texts):
        return ranking.take([places[text] for text in texts])
    ranks = [ranking.ranks[places[text]] if text in places else 0 for text in texts]
    return Ranking(ranks, annotator=ranking.annotator, origin=ranking.origin, comment=ranking.comment)


def good_and_bad(items: Iterable[RankedPrompt | Unpaired]) -> Iterator[RankedPrompt | Unpaired]:
    """Answers to one prompt of which some are desirable and some are not make a ranking of two ranks; the rest stay.

    Answers of which one is called both stay too. The origin is left for the reader of the file to fill in.
    """
    groups: dict[str, list[Unpaired]] = {}
    for item in items:
        if isinstance(item, Unpaired):
            groups.setdefault(prompt_key(item.prompt), []).append(item)
        else:
            yield item
    for group in groups.values():
        judged = {item.answer: item.desirable for item in group}
        contradicted = any(judged[item.answer] != item.desirable for item in group)
        if len(set(judged.values())) == 2 and not contradicted:
            yield RankedPrompt(group[0].prompt, list(judged), [Ranking([1 if good else 2 for good in judged.values()])])
        else:
            yield from group
