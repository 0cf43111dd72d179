"""The pretraining gradient of PPO-ptx: language modelling beside PPO (Ouyang et al. 2022, equation 2)."""

import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import torch
from torch import nn
from transformers import PreTrainedTokenizerBase

from configs.schema.ppo import PPOConfig
from tasks.chat import encode_conversations
from tasks.corpus_shards import read_shards
from tasks.documents import encode_documents
from tasks.failures import BadConfig, BadData
from tasks.inputs import Inputs
from tasks.instructions import read_source
from tasks.models import pad_batch
from tasks.ppo.processes import Processes
from tasks.ppo.rollout import chunks
from tasks.randomness import draw

Row = TypeVar("Row")
IGNORED = -100


class Text(NamedTuple):
    """Token ids, and which of them are learned."""

    ids: list[int]
    learned: list[int]


@dataclass(frozen=True)
class Texts:
    """What the pretraining gradient is taken of; the order is that of an endless stream, reshuffled every epoch."""

    rows: list[Text]
    seed: int


def text_loss(config: PPOConfig, model: nn.Module, texts: Texts, cursor: int, processes: Processes) -> float:
    """Add coefficient · (mean nats a learned token) to the gradients; returns that mean over all processes.

    The batch begins at ``cursor`` of the stream; each process takes its share of it.
    """
    batch = config.ptx.batch
    chosen = draw(len(texts.rows), cursor, batch, texts.seed, "ptx")
    mine = [texts.rows[chosen[place]] for place in processes.share(batch)]
    learned = torch.tensor(sum(sum(row.learned[1:]) for row in mine), device=processes.device)
    tokens = processes.sum(learned).clamp(min=1)
    total = torch.zeros((), dtype=torch.float64, device=processes.device)
    for piece in chunks(len(mine), config.micro_batch):
        part = [mine[place] for place in piece]
        ids_BL, _ = pad_batch([row.ids for row in part], 0)
        labels_BL, _ = pad_batch(
            [[t if on else IGNORED for t, on in zip(row.ids, row.learned, strict=True)] for row in part], IGNORED
        )
        ids_BL, labels_BL = ids_BL.to(processes.device), labels_BL.to(processes.device)
        logit_BLV = model(input_ids=ids_BL, use_cache=False).logits  # padding is at the right: no token sees it
        nats = nn.functional.cross_entropy(
            logit_BLV[:, :-1].float().flatten(0, 1), labels_BL[:, 1:].flatten(), ignore_index=IGNORED, reduction="sum"
        )
        (config.ptx.coefficient * nats / tokens).backward()
        total += nats.detach().double()
    return float(processes.sum(total) / tokens)


def load_texts(
    config: PPOConfig, inputs: Inputs, tokenizer: PreTrainedTokenizerBase, positions: int | None
) -> Texts | None:
    """The texts of ``config.ptx``, None when it is off.

    They are cut where ``max_length`` or the model's positions end. Raises BadConfig when no corpus is given, BadData
    when nothing is usable.
    """
    ptx = config.ptx
    assert config.seed is not None
    if not ptx.coefficient:
        return None
    longest = min(ptx.max_length, positions or ptx.max_length)
    wanted = config.iterations * config.update_steps * ptx.batch
    encoded = (_conversations if ptx.source == "instructions" else _documents)(config, inputs, tokenizer, wanted)
    rows = [Text(ids[:longest], learned[:longest]) for ids, learned in encoded]
    rows = [row for row in rows if any(row.learned[1:])]
    if not rows:
        raise BadData(f"ppo.ptx: no text of ppo.ptx.source={ptx.source} has a token to learn in {longest} tokens")
    return Texts(rows, config.seed)


def _documents(
    config: PPOConfig, inputs: Inputs, tokenizer: PreTrainedTokenizerBase, wanted: int
) -> Iterator[tuple[list[int], list[int]]]:
    folder = inputs.folders.get("corpus")
    if folder is None:
        raise BadConfig("ppo.ptx.source=corpus and no corpus is given; set ppo.ptx.source=instructions")
    chosen = sample(read_shards(folder, "train"), wanted, f"{config.seed}/ptx")
    for ids in encode_documents(tokenizer, chosen):
        yield ids, [1] * len(ids)


def _conversations(
    config: PPOConfig, inputs: Inputs, tokenizer: PreTrainedTokenizerBase, wanted: int
) -> Iterator[tuple[list[int], list[int]]]:
    assert config.seed is not None
    for source in config.ptx.instructions:
        usable, _ = read_source(source, inputs.sources[source.path], config.seed)
        yield from encode_conversations(tokenizer, usable)


def sample(rows: Iterable[Row], count: int, seed: str) -> list[Row]:
    """At most ``count`` rows, each as likely as any other, in one pass (Vitter 1985, algorithm R)."""
    rng, kept = random.Random(seed), list[Row]()
    for number, row in enumerate(rows):
        if number < count:
            kept.append(row)
        elif (place := rng.randrange(number + 1)) < count:
            kept[place] = row
    return kept
