"""Which decoder serves a model."""

from peft import PeftModel, PeftType
from transformers import PreTrainedModel

from tasks.decoding.decoder import AnyDecoder, Decoder, Prefilled
from tasks.decoding.gpt2 import GPT2Decoder
from tasks.decoding.llama import LlamaDecoder


def decoder_for(model: PreTrainedModel, start: Prefilled, room: int) -> Decoder:
    """``room``: most tokens that will follow the prompts."""
    inner = _inner(model)
    for kind in (LlamaDecoder, GPT2Decoder):
        if kind.fits(inner):
            return kind(inner, start, room)
    return AnyDecoder(model, start, room)


def _inner(model: PreTrainedModel) -> PreTrainedModel:
    """The model inside PEFT's wrapper, whose layers are LoRA's own modules; other adapters change the pass itself."""
    if isinstance(model, PeftModel) and model.peft_type == PeftType.LORA:
        return model.get_base_model()
    return model
