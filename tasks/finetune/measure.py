"""What fine-tuning changes: does the model follow held-out instructions, does it expect their answers."""

from pathlib import Path
from typing import Any

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from configs.schema.finetune import FinetuneConfig
from tasks.answers import instruction_following
from tasks.finetune.examples import Example
from tasks.models import load_chat_model
from tasks.perplexity import perplexity


def measure(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, heldout: list[Example], config: FinetuneConfig
) -> tuple[dict[str, float], list[dict[str, Any]]]:
    """Metrics on held-out examples, and the greedy answers behind them.

    instruction_following: share of prompts whose greedy answer follows them. response_perplexity: per token of
    the reference answers, given their prompts.
    """
    prompts = [example.prompt for example in heldout]
    share, rows = instruction_following(model, tokenizer, prompts, config.checker, config.max_new_tokens)
    reached = perplexity(
        model,
        [example.ids for example in heldout],
        int(tokenizer.pad_token_id),
        masks=[example.mask for example in heldout],
    )
    return {"instruction_following": share, "response_perplexity": reached}, rows


def measure_folder(
    base: Path, adapters: list[Path], tokenizer: PreTrainedTokenizerBase, heldout: list[Example], config: FinetuneConfig
) -> tuple[dict[str, float], list[dict[str, Any]]]:
    """``measure`` of a saved model. The trainer patches the model that it trains, so saved ones are measured."""
    return measure(load_chat_model(base, *adapters), tokenizer, heldout, config)
