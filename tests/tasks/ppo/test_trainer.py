"""The library: the lines of docs/ppo.md, TRL's names, data and rewards, checkpoints."""

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from ppo_parts import WORDS, byte_tokenizer, tiny_gpt2, tiny_llama
from transformers import LlamaForSequenceClassification

from configs.schema.ppo import PPOConfig
from tasks.failures import BadConfig, BadData
from tasks.ppo.rows import encode_rows
from tasks.ppo.terms import classify
from tasks.ppo.trainer import TRL_NAMES, PPOTrainer, end_tokens

DOCS = Path(__file__).parents[3] / "docs" / "ppo.md"
SMALL: dict[str, Any] = {
    "iterations": 2,
    "batch": 4,
    "minibatch": 2,
    "max_new_tokens": 4,
    "heldout_samples": 1,
    "lora": {"rank": 2, "alpha": 4},
}
ROWS = [{"prompt": f"say {word}", "answer": word} for word in ("ab", "cd", "the", "ing")]


def _save(folder: Path) -> Path:
    tokenizer = byte_tokenizer(WORDS)
    tiny_llama(len(tokenizer)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def length(prompts: list[str], completions: list[str], **columns: Any) -> list[float]:
    return [len(text) / 10 for text in completions]


def _trainer(folder: Path, **changes: Any) -> PPOTrainer:
    settings: dict[str, Any] = {"reward_funcs": length, "args": SMALL, "train_dataset": ROWS, "log": lambda row: None}
    return PPOTrainer(model=folder, **{**settings, **changes})


def test_the_ten_lines_of_the_documentation_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (block,) = re.findall(r"```python\n(.*?PPOTrainer.*?)```", DOCS.read_text(encoding="utf-8"), flags=re.DOTALL)
    assert len([line for line in block.splitlines() if line.strip()]) <= 10
    _save(tmp_path / "my-model")
    monkeypatch.chdir(tmp_path)
    exec(compile(block, str(DOCS), "exec"), {})
    assert {"adapter_config.json", "adapter_model.safetensors", "tokenizer.json"} <= {
        path.name for path in (tmp_path / "aligned").iterdir()
    }


def test_metrics_are_named_as_in_trl_and_add_up(tmp_path: Path) -> None:
    logged: list[dict[str, float]] = []
    trainer = _trainer(_save(tmp_path / "m"), log=logged.append, eval_dataset=ROWS)
    curve = trainer.train()
    assert [row["episode"] for row in logged] == [4, 8]
    for row, own in zip(logged, curve, strict=True):
        assert {*TRL_NAMES, "objective/rlhf_reward", "val/num_eos_tokens"} <= set(row)
        assert row["objective/rlhf_reward"] == row["objective/scores"] + row["objective/non_score_reward"]
        assert row["objective/kl"] == own["kl"]
        assert row["objective/non_score_reward"] == pytest.approx(-own["beta"] * own["kl"], abs=1e-5)
    assert logged[0]["objective/kl"] == 0.0
    assert set(trainer.evaluate()) == {"eval_reward", "eval_kl", "eval_length", "eval_ended"}


def test_killed_and_started_again_it_ends_the_same(tmp_path: Path) -> None:
    """The library's own resume: the second trainer finds the first one's checkpoint."""

    class Killed(Exception):
        pass

    def die(row: dict[str, float]) -> None:
        raise Killed

    folder, args = _save(tmp_path / "m"), {**SMALL, "checkpoint": {"every": 1}}
    whole = _trainer(folder, args=args).train()
    with pytest.raises(Killed):
        _trainer(folder, args=args, output_dir=tmp_path / "run", log=die).train()
    logged: list[dict[str, float]] = []
    assert _trainer(folder, args=args, output_dir=tmp_path / "run", log=logged.append).train() == whole
    assert len(logged) == 1


@pytest.mark.parametrize("changes", [{"method": "full"}, {"critic": {"kind": "adapter"}}])
def test_other_roles_train_and_are_saved(tmp_path: Path, changes: dict[str, Any]) -> None:
    trainer = _trainer(_save(tmp_path / "m"), args={**SMALL, **changes})
    assert trainer.train()[-1]["gradient_norm"] > 0
    trainer.save_model(tmp_path / "out")
    expected = "model.safetensors" if changes.get("method") == "full" else "adapter_model.safetensors"
    assert (tmp_path / "out" / expected).is_file()


def test_a_model_object_with_learned_positions(tmp_path: Path) -> None:
    tokenizer = byte_tokenizer(WORDS)
    model = tiny_gpt2(len(tokenizer), dropout=0.1)
    assert len(_trainer(model, processing_class=tokenizer).train()) == 2  # type: ignore[arg-type]


def test_rows_are_texts_or_conversations() -> None:
    tokenizer = byte_tokenizer(WORDS)
    talk = [{"role": "user", "content": "the"}]
    text, turn = encode_rows([{"prompt": "say the", "n": 1}, {"prompt": talk, "n": 2}], tokenizer, 99)
    assert tokenizer.decode(text.ids) == "say the"
    assert (text.continued, text.columns, turn.messages, turn.columns) == (True, {"n": 1}, talk, {"n": 2})
    assert tokenizer.decode(turn.ids) == "<|im_start|>user\nthe<|im_end|>\n<|im_start|>assistant\n"
    assert encode_rows([{"prompt": "x" * 50}], tokenizer, 10) == []
    with pytest.raises(BadData, match="row 1: `prompt` is int"):
        encode_rows([{"prompt": "a"}, {"prompt": 3}], tokenizer, 9)


def test_all_end_tokens_of_the_generation_settings_count() -> None:
    tokenizer, model = byte_tokenizer(WORDS), tiny_llama(40)
    assert model.generation_config is not None
    model.generation_config.eos_token_id = [1, 9]
    assert end_tokens(tokenizer, model) == [1, 3, 9]
    model.generation_config.eos_token_id = None
    assert end_tokens(tokenizer, model) == [1, 3]


def test_a_classifier_is_read_at_the_last_token_though_pad_is_the_end_token() -> None:
    torch.manual_seed(0)
    config = tiny_llama(40).config
    config.num_labels, config.pad_token_id = 1, 1
    model = LlamaForSequenceClassification(config).eval()
    rows = [[5, 6, 1], [7, 8, 9, 10, 1], [4]]
    alone = []
    for row in rows:
        hidden = model.base_model(input_ids=torch.tensor([row])).last_hidden_state
        alone.append(model.score(hidden)[0, -1, 0].item())
    torch.testing.assert_close(classify(model, rows), torch.tensor(alone), atol=1e-5, rtol=0)


def test_a_classifier_and_a_function_are_added_with_weights(tmp_path: Path) -> None:
    torch.manual_seed(0)
    tokenizer = byte_tokenizer(WORDS)
    config = tiny_llama(len(tokenizer)).config
    config.num_labels = 1
    model = LlamaForSequenceClassification(config)
    trainer = _trainer(_save(tmp_path / "m"), reward_funcs=[length, model], reward_weights=[2.0, -1.0])
    scores = trainer.roles.rewards(trainer.roles.prompts, ["a", "the cd", "", "b"])
    assert set(scores.terms) == {"length", "LlamaForSequenceClassification"}
    torch.testing.assert_close(
        scores.total_B, 2 * scores.terms["length"] - scores.terms["LlamaForSequenceClassification"]
    )
    row = trainer.train()[-1]
    assert {"reward_length", "reward_LlamaForSequenceClassification"} <= set(row)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"reward_weights": [1.0, 2.0]}, "1 reward_funcs, 2 reward_weights"),
        ({"reward_funcs": 3}, r"reward_funcs\[0\] is int"),
        ({"train_dataset": []}, "train_dataset has no prompt"),
        ({"args": {**SMALL, "ptx": {"coefficient": 1.0}}}, "use the ppo stage"),
    ],
)
def test_what_cannot_be_used_is_refused(tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    with pytest.raises(BadConfig, match=said):
        _trainer(_save(tmp_path / "m"), **changes)


def test_settings_by_their_names_in_trl() -> None:
    config = PPOConfig.from_trl(
        num_ppo_epochs=3, kl_coef=0.07, kl_estimator="k3", cliprange=0.1, cliprange_value=0.3, vf_coef=0.1, lam=0.9,
        response_length=53, learning_rate=3e-6, lr_scheduler_type="linear", per_device_train_batch_size=4,
        gradient_accumulation_steps=2, num_mini_batches=3, total_episodes=100, missing_eos_penalty=None, seed=7,
        adam_epsilon=1e-6, output_dir="x",
    )  # fmt: skip
    assert (config.epochs, config.kl.beta, config.kl_estimator, config.clip, config.value_clip) == (
        3, 0.07, "k3", 0.1, 0.3,
    )  # fmt: skip
    assert (config.micro_batch, config.minibatch, config.batch, config.iterations) == (4, 8, 24, 5)
    assert (config.learning_rate, config.value_learning_rate, config.adam.eps) == (3e-6, 3e-6, 1e-6)
    assert (config.rate.schedule, config.value_rate.schedule, config.missing_eos_penalty) == ("linear", "linear", 0.0)
    assert (config.value_coefficient, config.lam, config.max_new_tokens, config.seed) == (0.1, 0.9, 53, 7)
    for names, said in (
        ({"whiten_rewards": True}, "normalise_reward"),
        ({"sft_model_path": "x"}, "no equal of TRL's sft_model_path"),
        ({"total_episodes": 9}, "without batch sizes"),
        ({"lr_scheduler_type": "polynomial"}, "polynomial"),
    ):
        with pytest.raises(ValueError, match=said):
            PPOConfig.from_trl(**names)  # type: ignore[arg-type]
