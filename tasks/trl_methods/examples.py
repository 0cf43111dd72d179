"""What DPO and KTO learn from: encoded pairs of answers, and encoded answers that are marked good or bad."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from transformers import PreTrainedTokenizerBase

from configs.schema.trl import TrlConfig
from tasks.chat import encode_conversation, encode_prompt
from tasks.failures import BadData
from tasks.rankings import Messages, RankedPrompt, Ranking, pairs, read_rankings

UNPAIRED = "unpaired.parquet"  # answers that were judged alone; a rankings artifact may be without


@dataclass(frozen=True)
class Pair:
    """Ids of a prompt and of two answers to it, end tokens included; ``chosen`` was ranked above ``rejected``."""

    prompt: list[int]
    chosen: list[int]
    rejected: list[int]


@dataclass(frozen=True)
class Marked:
    """Ids of a prompt and of an answer, and whether such answers are wanted."""

    prompt: list[int]
    answer: list[int]
    desirable: bool


class Encoder:
    """Conversations as ids, by the template that answers are sampled with; counts what is too long."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, limit: int) -> None:
        self._tokenizer, self._limit = tokenizer, limit
        self.too_long = 0

    def __call__(self, prompt: Messages, *answers: str) -> list[list[int]] | None:
        """Ids of the prompt and of each answer up to its end token; None when one of them is too long."""
        head = encode_prompt(self._tokenizer, prompt)
        found = [head]
        for answer in answers:
            ids, mask = encode_conversation(self._tokenizer, [*prompt, {"role": "assistant", "content": answer}])
            last = max(place for place, spoken in enumerate(mask, start=1) if spoken)
            if last > self._limit:
                self.too_long += 1
                return None
            found.append(ids[len(head) : last])
        return found


def ranked_pairs(ranking: list[int], which: str) -> list[tuple[int, int]]:
    """(better, worse) candidate numbers of one ranking: every pair that is not tied, or the best with the worst."""
    every = pairs(ranking)
    if which == "all" or not every:
        return every
    best = min(rank for rank in ranking if rank)
    worst = max(ranking)
    return [(ranking.index(best), ranking.index(worst))]


def encode_pairs(items: Iterable[RankedPrompt], encoder: Encoder, which: str) -> list[Pair]:
    """Pairs of every annotator's ranking, in the order of the items."""
    found = []
    for item in items:
        for ranking in item.ranks:
            for better, worse in ranked_pairs(ranking, which):
                ids = encoder(item.prompt, item.candidates[better], item.candidates[worse])
                if ids is not None:
                    found.append(Pair(*ids))
    return found


def encode_marked(items: Iterable[RankedPrompt], encoder: Encoder, which: str) -> list[Marked]:
    """Each candidate once: wanted when it won more of its pairs than it lost, over all annotators; else not wanted.

    One that won as many as it lost says nothing and is left out. Where an annotator holds all candidates to be bad,
    none of them wins a pair.
    """
    found = []
    for item in items:
        balance: Counter[int] = Counter()
        for ranking in item.rankings:
            balance.update(_wins(ranking, which))
        for candidate, won in sorted(balance.items()):
            ids = encoder(item.prompt, item.candidates[candidate]) if won else None
            if ids is not None:
                prompt, answer = ids
                found.append(Marked(prompt, answer, won > 0))
    return found


def _wins(ranking: Ranking, which: str) -> dict[int, int]:
    """Pairs won minus pairs lost, by candidate."""
    if ranking.all_bad:
        return {candidate: -1 for candidate, rank in enumerate(ranking.ranks) if rank}
    balance: Counter[int] = Counter()
    for better, worse in ranked_pairs(ranking.ranks, which):
        balance[better] += 1
        balance[worse] -= 1
    return balance


def read_unpaired(folder: Path, encoder: Encoder) -> list[Marked]:
    """Answers that people judged alone: columns prompt (messages), answer, desirable. Empty without the file."""
    path = folder / UNPAIRED
    if not path.is_file():
        return []
    try:
        rows = pq.read_table(path, columns=["prompt", "answer", "desirable"]).to_pylist()
    except (pa.ArrowException, OSError) as error:
        raise BadData(f"{path.name}: not a sound Parquet file of judged answers ({error})") from error
    found = []
    for row in rows:
        ids = encoder(row["prompt"], row["answer"])
        if ids is not None:
            prompt, answer = ids
            found.append(Marked(prompt, answer, bool(row["desirable"])))
    return found


@dataclass(frozen=True)
class Preferences:
    """What is learned from, and held-out pairs to measure on. too_long: pairs or answers that were left out."""

    pairs: list[Pair]
    marked: list[Marked]
    heldout: list[Pair]
    too_long: int


def load_preferences(config: TrlConfig, folder: Path, tokenizer: PreTrainedTokenizerBase) -> Preferences:
    """Read a rankings artifact. Raises BadData that says how many rankings there are when nothing can be learned."""
    encoder, measured = Encoder(tokenizer, config.max_length), Encoder(tokenizer, config.max_length)
    items = [] if config.online else read_rankings(folder, "train")
    learned = encode_pairs(items, encoder, config.pairs) if config.method == "dpo" else []
    marked: list[Marked] = []
    if config.method == "kto":
        marked = encode_marked(items, encoder, config.pairs) + read_unpaired(folder, encoder)
    if config.method == "dpo" and not learned:
        raise BadData(
            f"align.method=dpo without pairs: {len(items)} ranked prompts, {encoder.too_long} pairs longer than "
            f"trl.max_length={config.max_length}, all others tied; rank other answers or raise the limit"
        )
    kinds = {row.desirable for row in marked}
    if config.method == "kto" and len(kinds) < 2:
        has = "none" if not kinds else f"only {'desirable' if True in kinds else 'undesirable'} ones"
        raise BadData(
            f"align.method=kto needs desirable and undesirable answers, there are {has}: {len(items)} ranked prompts, "
            f"{encoder.too_long} answers longer than trl.max_length={config.max_length}"
        )
    heldout = encode_pairs(read_rankings(folder, "heldout"), measured, config.pairs)
    return Preferences(learned, marked, heldout, encoder.too_long)
