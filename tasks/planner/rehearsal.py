"""PPO on a model of few layers with random weights, for the planner's measurements: the trainer's own parts."""

import random
from dataclasses import replace
from typing import Any

from accelerate import Accelerator
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    GPT2Config,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)

from configs.schema.ppo import PPOConfig
from configs.schema.rollout import CurriculumConfig
from tasks.chat import CHAT_TEMPLATE, SPECIAL_TOKENS
from tasks.models import freeze, switch_off_dropout
from tasks.planner.ppo_work import Work
from tasks.planner.shape import ModelShape
from tasks.ppo.iteration import Roles
from tasks.ppo.learner import Learner, make_critic, make_policy
from tasks.ppo.processes import Processes
from tasks.prompt_sets import Prompt
from tasks.rewards import Rewards, function_term


def random_model(shape: ModelShape, layers: int, positions: int) -> PreTrainedModel:
    """A frozen causal model of the shape with other layers, and with ``positions`` at least."""
    shared: dict[str, Any] = {"vocab_size": shape.vocabulary, "tie_word_embeddings": shape.tied}
    shared |= {"bos_token_id": None, "eos_token_id": None, "pad_token_id": 0}
    config: Any
    if shape.architecture == "gpt2":
        config = GPT2Config(
            n_embd=shape.hidden,
            n_layer=layers,
            n_head=shape.heads,
            n_inner=shape.mlp,
            n_positions=positions,
            **shared,
        )
    else:
        more = {"attention_bias": shape.biases} if shape.architecture == "llama" else {}
        config = AutoConfig.for_model(
            shape.architecture,
            hidden_size=shape.hidden,
            num_hidden_layers=layers,
            num_attention_heads=shape.heads,
            num_key_value_heads=shape.kv_heads,
            head_dim=shape.head_size,
            intermediate_size=shape.mlp,
            max_position_embeddings=positions,
            **more,
            **shared,
        )
    return switch_off_dropout(freeze(AutoModelForCausalLM.from_config(config).eval()))


def word_tokenizer(vocabulary: int) -> PreTrainedTokenizerFast:
    """Our special tokens, and words with their number as id."""
    words = [*SPECIAL_TOKENS, *(f"w{number}" for number in range(len(SPECIAL_TOKENS), vocabulary))]
    inner = Tokenizer(models.WordLevel({word: number for number, word in enumerate(words)}, unk_token=words[-1]))
    inner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    inner.add_special_tokens(SPECIAL_TOKENS)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=inner, pad_token="<|pad|>", eos_token="<|endoftext|>")
    tokenizer.chat_template = CHAT_TEMPLATE
    return tokenizer


def letters(prompts: list[str], completions: list[str], **columns: Any) -> list[float | None]:
    """A reward that costs nothing."""
    return [float(len(text) % 7) for text in completions]


def rehearse(work: Work, layers: int) -> tuple[Roles, Learner]:
    """What ``iterate`` needs: policy and critic as in the run, on few layers; rewards are made up."""
    config = _config(work)
    model = random_model(work.shape, layers, work.lengths.row)
    policy = make_policy(config, model)
    learner = Learner.of(config, policy, make_critic(config, policy))
    drawn = random.Random(0)
    width, vocabulary = work.lengths.prompt, work.shape.vocabulary
    prompts = []
    for _ in range(max(2 * work.rows, 2)):
        count = drawn.randint(max(width * 2 // 3, 1), width)  # widths change from pass to pass, as in a run
        prompts.append(Prompt("", [drawn.randrange(4, vocabulary) for _ in range(count)]))
    tokenizer, rewards = word_tokenizer(vocabulary), Rewards([function_term(letters)])
    # an id that no model has: every answer has full length
    return Roles(config, Processes(Accelerator()), tokenizer, prompts, rewards, ends=[vocabulary]), learner


def _config(work: Work) -> PPOConfig:
    """The run's settings on one process, without what needs files or an engine elsewhere."""
    config = work.config
    critic = config.critic.model_copy(
        update={"start": "finetuned", "warmup": 0, "lora": work.critic_lora or config.lora}
    )
    curriculum = CurriculumConfig(answers=config.curriculum.answers)
    rollout = config.rollout.model_copy(update={"engine": "native"})
    ptx = config.ptx.model_copy(update={"coefficient": 0.0})
    return config.model_copy(
        update={
            "critic": critic,
            "rollout": rollout,
            "ptx": ptx,
            "curriculum": curriculum,
            "target_kl": None,
            "batch": work.rows,
            "minibatch": min(work.rows, -(-config.minibatch // work.processes)),
            "iterations": 1000,
            "seed": 0,
            "max_new_tokens": work.lengths.answer,
        }
    )


def tiny(work: Work) -> Work:
    """A run that computes next to nothing: what memory grows by in it are the libraries' own parts."""
    shape = replace(
        work.shape, layers=1, hidden=32, heads=2, kv_heads=2, head_size=16, mlp=64, vocabulary=64, positions=64
    )
    config = work.config.model_copy(update={"batch": 4, "minibatch": 2, "micro_batch": None})
    config = config.model_copy(update={"curriculum": config.curriculum.model_copy(update={"answers": 1})})
    return replace(work, config=config, shape=shape, lengths=replace(work.lengths, prompt=8, answer=8), processes=1)
