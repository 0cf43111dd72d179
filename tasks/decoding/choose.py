"""Which decoder serves a model."""

from transformers import PreTrainedModel

from tasks.decoding.decoder import AnyDecoder, Decoder, Prefilled
from tasks.decoding.gpt2 import GPT2Decoder
from tasks.decoding.llama import LlamaDecoder


def decoder_for(model: PreTrainedModel, start: Prefilled, room: int) -> Decoder:
    """``room``: most tokens that will follow the prompts."""
    for kind in (LlamaDecoder, GPT2Decoder):
        if kind.fits(model):
            return kind(model, start, room)
    return AnyDecoder(model, start, room)
