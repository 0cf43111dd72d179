"""The written-out decoders against the model's own forward pass, step by step."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM, MistralConfig, MistralForCausalLM, PreTrainedModel

from tasks.decoding.choose import decoder_for
from tasks.decoding.decoder import AnyDecoder, Decoder, Prefilled
from tasks.decoding.gpt2 import GPT2Decoder
from tasks.decoding.llama import LlamaDecoder
from tasks.models import pad_batch
from tasks.sampling import generate

PROMPTS = [[5, 6, 7], [8], [9, 10, 11, 12, 13, 14, 15], [8], [16, 17], [9, 10, 11, 12, 13, 14, 15]]
STEPS = 12


def _llama(**changes: object) -> LlamaForCausalLM:
    torch.manual_seed(0)
    sizes: dict[str, Any] = {
        "vocab_size": 300,
        "hidden_size": 48,
        "intermediate_size": 64,
        "num_hidden_layers": 3,
        "num_attention_heads": 6,
        "initializer_range": 0.2,
        "max_position_embeddings": 64,
    }
    return LlamaForCausalLM(LlamaConfig(**{**sizes, **changes})).eval()


LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 10_000.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 16,
}
LLAMAS = {
    "plain": {},
    "grouped": {"num_key_value_heads": 2},
    "one key head": {"num_key_value_heads": 1, "head_dim": 16},
    "biases": {"attention_bias": True, "mlp_bias": True},
    "tied": {"tie_word_embeddings": True},
    "llama3": {"rope_parameters": LLAMA3, "num_key_value_heads": 3},
}


def _walk(model: PreTrainedModel, make: Callable[..., Decoder], tokens: list[Tensor], keeps: dict[int, Tensor]) -> Any:
    ids, mask = pad_batch(PROMPTS, 0, side="left")
    with torch.inference_mode():
        start = Prefilled(model, ids, mask)
        logits = [start.logit_BV]
        decoder = make(model, start, len(tokens))
        kept = torch.arange(len(PROMPTS))
        for step, token_B in enumerate(tokens):
            if step in keeps:
                decoder.keep(keeps[step])
                kept = kept[keeps[step]]
            logits.append(decoder.next(token_B[kept]))
    return logits


def _whole(model: PreTrainedModel, row: int, tokens: list[Tensor]) -> Tensor:
    """Logits after the prompt and after each token, by one pass without a cache or padding."""
    ids = torch.tensor([PROMPTS[row] + [int(token[row]) for token in tokens]])
    with torch.inference_mode():
        return model(ids).logits[0, len(PROMPTS[row]) - 1 :]


def _check(model: PreTrainedModel, make: Callable[..., Decoder]) -> None:
    tokens = list(torch.randint(1, 300, (STEPS, len(PROMPTS)), generator=torch.Generator().manual_seed(1)))
    keeps = {4: torch.tensor([0, 2, 3, 5]), 9: torch.tensor([1, 3])}
    logits = _walk(model, make, tokens, keeps)
    rows = [0, 1, 2, 3, 4, 5]
    for step, logit_AV in enumerate(logits):
        if step - 1 in keeps:
            rows = [rows[i] for i in keeps[step - 1].tolist()]
        for place, row in enumerate(rows):
            expected_V = _whole(model, row, tokens)[step]
            torch.testing.assert_close(logit_AV[place], expected_V, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", LLAMAS)
def test_llama_logits_are_those_of_a_pass_without_cache(name: str) -> None:
    model = _llama(**LLAMAS[name])
    assert LlamaDecoder.fits(model)
    _check(model, decoder_for)


def test_an_adapter_that_is_not_merged_is_decoded_with() -> None:
    adapted = get_peft_model(_llama(), LoraConfig(r=2, target_modules="all-linear", task_type="CAUSAL_LM"))
    plain = _whole(adapted, 0, [])
    for name, param in adapted.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(param, std=0.1)
    assert float((_whole(adapted, 0, []) - plain).abs().max()) > 1e-2
    assert isinstance(decoder_for(adapted, _prefilled(adapted), 2), LlamaDecoder)
    _check(adapted.eval(), decoder_for)


def test_gpt2_logits_are_those_of_a_pass_without_cache(make_model: Callable[..., Any]) -> None:
    model = make_model("gpt2")
    assert isinstance(decoder_for(model, _prefilled(model), 2), GPT2Decoder)
    _check(model, decoder_for)


def test_any_other_model_goes_through_its_own_forward_pass() -> None:
    torch.manual_seed(0)
    sizes: dict[str, Any] = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2}
    heads = {"num_attention_heads": 4, "num_key_value_heads": 2, "initializer_range": 0.2, "sliding_window": None}
    mistral = MistralForCausalLM(MistralConfig(vocab_size=300, **sizes, **heads)).eval()
    assert isinstance(decoder_for(mistral, _prefilled(mistral), 2), AnyDecoder)
    _check(mistral, decoder_for)
    _check(_llama(), AnyDecoder)


@pytest.mark.parametrize("rope", [{"rope_type": "dynamic", "rope_theta": 1e4, "factor": 2.0}])
def test_positions_that_depend_on_the_length_are_left_to_the_model(rope: dict[str, Any]) -> None:
    assert not LlamaDecoder.fits(_llama(rope_parameters=rope))


def test_a_subclass_is_not_taken_for_a_llama() -> None:
    class Other(LlamaForCausalLM):
        pass

    assert not LlamaDecoder.fits(Other(_llama().config))


def test_equal_prompts_go_through_the_model_once() -> None:
    model = _llama()
    seen: list[tuple[int, ...]] = []
    model.model.embed_tokens.register_forward_hook(lambda module, given, output: seen.append(tuple(given[0].shape)))
    start = _prefilled(model)
    assert seen == [(4, 7)]
    assert start.logit_BV.shape == (6, 300)
    assert torch.equal(start.logit_BV[1], start.logit_BV[3])


def _prefilled(model: PreTrainedModel) -> Prefilled:
    with torch.inference_mode():
        return Prefilled(model, *pad_batch(PROMPTS, 0, side="left"))


def test_sampled_answers_are_the_same_by_either_way() -> None:
    """Logits differ by rounding, which moves none of these draws."""
    model = _llama()

    def draw() -> list[list[int]]:
        generator = torch.Generator().manual_seed(3)
        ends = list(range(4, 12))
        return generate(
            model, PROMPTS * 10, max_new_tokens=40, temperature=0.7, end_ids=ends, pad_id=0, generator=generator
        )

    written_out = draw()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(LlamaDecoder, "fits", staticmethod(lambda model: False))
        assert draw() == written_out
    assert len({len(answer) for answer in written_out}) > 5
