"""Which decoder serves a model."""

from transformers import PreTrainedModel

from tasks.decoding.decoder import AnyDecoder, Decoder, Prefilled
from tasks.decoding.gpt2 import GPT2Decoder
from tasks.decoding.llama import LlamaDecoder
from tasks.models import unwrapped


def decoder_for(model: PreTrainedModel, start: Prefilled, room: int) -> Decoder:
    """``room``: most tokens that will follow the prompts."""
    inner = unwrapped(model)
    for kind in (LlamaDecoder, GPT2Decoder):
        if kind.fits(inner):
            return kind(inner, start, room)
    return AnyDecoder(model, start, room)
