"""Prompts to train on and prompts to measure on, encoded."""

from dataclasses import dataclass

from transformers import PreTrainedTokenizerBase

from configs.schema.ppo import PPOConfig
from tasks.chat import encode_prompt, user
from tasks.failures import BadConfig, BadData
from tasks.inputs import Inputs
from tasks.ppo.randomness import permutation
from tasks.prompts import read_prompts


@dataclass(frozen=True)
class Prompt:
    """A prompt and its token ids as one user turn, ready to be answered."""

    text: str
    ids: list[int]


@dataclass(frozen=True)
class PromptSets:
    """Disjoint by text. ``left_out`` counts prompts longer than the limit."""

    train: list[Prompt]
    heldout: list[Prompt]
    left_out: int


def load_prompts(
    config: PPOConfig, inputs: Inputs, tokenizer: PreTrainedTokenizerBase, positions: int | None
) -> PromptSets:
    """Read, split, encode, and leave out what is too long.

    ``positions``: longest sequence of the model, None without a limit. Raises BadConfig when the settings do not
    fit it, and BadData when no prompt is left.
    """
    assert config.seed is not None
    if positions is not None and config.max_prompt_tokens + config.max_new_tokens > positions:
        raise BadConfig(
            f"ppo.max_prompt_tokens={config.max_prompt_tokens} + ppo.max_new_tokens={config.max_new_tokens} exceed "
            f"the model's {positions} positions; lower one of them"
        )
    train = read_prompts(config.prompts, list(inputs.sources[config.prompts.path]))
    if config.heldout is not None:
        heldout = read_prompts(config.heldout, list(inputs.sources[config.heldout.path]))
    else:
        distinct = list(dict.fromkeys(train))
        order = permutation(len(distinct), config.seed, "heldout")
        heldout = [distinct[i] for i in order[: max(1, len(distinct) // 10)]]
    measured = set(heldout)
    train = [text for text in train if text not in measured]
    kept_train, kept_heldout = (_encode(texts, tokenizer, config.max_prompt_tokens) for texts in (train, heldout))
    for name, kept in (("ppo.prompts", kept_train), ("ppo.heldout", kept_heldout)):
        if not kept:
            raise BadData(
                f"{name}: no prompt is left: each is longer than ppo.max_prompt_tokens={config.max_prompt_tokens}, or "
                "held out; raise the limit or name more prompts"
            )
    return PromptSets(kept_train, kept_heldout, len(train) + len(heldout) - len(kept_train) - len(kept_heldout))


def _encode(texts: list[str], tokenizer: PreTrainedTokenizerBase, limit: int) -> list[Prompt]:
    prompts = [Prompt(text, encode_prompt(tokenizer, user(text))) for text in texts]
    return [prompt for prompt in prompts if len(prompt.ids) <= limit]
