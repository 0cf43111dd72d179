"""Pairs that were written load with datasets, and are what TRL's RewardTrainer takes. No training."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tasks.rank.layouts.written import write_file
from tasks.rankings import RankedPrompt, Ranking

USER = {"role": "user", "content": "Why?"}
ITEMS = [
    RankedPrompt([USER], ["because", "never", "so"], [Ranking([1, 3, 2], ratings=[3, 1, 2])]),
    RankedPrompt([{**USER, "content": "Who?"}], ["me", "you"], [Ranking([2, 1])]),
]


def load(tmp_path: Path, layout: str) -> Any:
    import datasets

    file = tmp_path / "pairs.jsonl"
    assert write_file(ITEMS, layout, file).rows == 4
    return datasets.load_dataset("json", data_files=str(file), split="train", cache_dir=str(tmp_path / "cache"))


@pytest.mark.parametrize("layout", ["pairs", "pairs-chat"])
def test_the_reward_trainer_takes_what_was_written(tmp_path: Path, layout: str) -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast
    from trl.data_utils import is_conversational, maybe_extract_prompt
    from trl.trainer.reward_trainer import RewardTrainer

    loaded = load(tmp_path, layout)
    assert is_conversational(loaded[0]) == (layout == "pairs-chat")
    assert maybe_extract_prompt(loaded[0]) == loaded[0]  # the prompt is found beside the answers
    words = ["[end]", "[u]", "[a]", "Why?", "Who?", "because", "never", "so", "me", "you"]
    plain = Tokenizer(models.WordLevel({word: number for number, word in enumerate(words)}, unk_token="[end]"))
    plain.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(word, "isolated") for word in words]  # "Why?because" is two words
    )
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=plain, eos_token="[end]", pad_token="[end]")
    tokenizer.chat_template = (
        "{% for m in messages %}{{ '[u]' if m.role == 'user' else '[a]' }}{{ m.content }}{% endfor %}"
    )
    args: Any = SimpleNamespace(dataset_num_proc=None, max_length=64)
    found = RewardTrainer._prepare_dataset(SimpleNamespace(), loaded, tokenizer, args, "train")  # type: ignore[arg-type]

    def text(ids: list[int]) -> list[str]:
        return [words[number] for number in ids]

    rows = [(text(row["chosen_ids"]), text(row["rejected_ids"])) for row in found]
    sides = [("Why?", "because", "never"), ("Why?", "because", "so"), ("Why?", "so", "never"), ("Who?", "you", "me")]
    if layout == "pairs":
        assert rows == [([q, good, "[end]"], [q, bad, "[end]"]) for q, good, bad in sides]
    else:
        assert rows == [(["[u]", q, "[a]", good], ["[u]", q, "[a]", bad]) for q, good, bad in sides]
