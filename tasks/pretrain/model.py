"""The model that pretraining starts from, and the loss it minimises."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from configs.schema.pretrain import PretrainConfig
from tasks.base_model import resolve_base
from tasks.chat import end_ids
from tasks.documents import document_end
from tasks.failures import BadConfig
from tasks.models import switch_off_dropout


def start_model(config: PretrainConfig, tokenizer: PreTrainedTokenizerBase, seed: int) -> PreTrainedModel:
    """The given base, or new weights drawn with the seed; in evaluation mode, without dropout.

    Raises BadConfig when a base cannot read rows as long as ``pretrain.context``.
    """
    torch.manual_seed(seed)
    model = from_scratch(config, tokenizer) if config.base is None else _given(config, tokenizer)
    generation = model.generation_config
    generation.eos_token_id = end_ids(tokenizer)
    generation.pad_token_id = tokenizer.pad_token_id
    generation.bos_token_id = document_end(tokenizer)
    return switch_off_dropout(model.eval())


def from_scratch(config: PretrainConfig, tokenizer: PreTrainedTokenizerBase) -> PreTrainedModel:
    """Llama or GPT-2 shape with the tokenizer's vocabulary; input and output embeddings are one matrix."""
    shared = {
        "vocab_size": len(tokenizer),
        "bos_token_id": document_end(tokenizer),
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
        "initializer_range": config.initializer_range,
        "tie_word_embeddings": True,
    }
    if config.architecture == "gpt2":
        settings = GPT2Config(
            n_embd=config.hidden,
            n_layer=config.layers,
            n_head=config.heads,
            n_inner=config.mlp,
            n_positions=config.context,
            resid_pdrop=0.0,
            embd_pdrop=0.0,
            attn_pdrop=0.0,
            **shared,
        )
        return GPT2LMHeadModel(settings)
    return LlamaForCausalLM(
        LlamaConfig(
            hidden_size=config.hidden,
            num_hidden_layers=config.layers,
            num_attention_heads=config.heads,
            intermediate_size=config.mlp,
            max_position_embeddings=config.context,
            **shared,
        )
    )


def _given(config: PretrainConfig, tokenizer: PreTrainedTokenizerBase) -> PreTrainedModel:
    model = resolve_base(str(config.base)).load_model()
    limit = getattr(model.config, "max_position_embeddings", None)
    if limit is not None and config.context > limit:
        raise BadConfig(f"pretrain.context={config.context} exceeds the {limit} positions of {config.base}; lower it")
    if len(tokenizer) > model.get_input_embeddings().weight.size(0):  # type: ignore[operator]
        # chat tokens that the tokenizer stage had to add
        model.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    return model


class NextTokenLoss(nn.Module):
    """Sum of nats over the predicted tokens of a batch, as one module, so that it can be distributed as one."""

    def __init__(self, model: PreTrainedModel, plain_head: bool) -> None:
        """``plain_head``: logits are the output matrix times the last hidden state, nothing else; then the
        output layer is spared the padding."""
        super().__init__()
        self.model = model
        self.plain_head = plain_head

    def forward(self, ids_BT: Tensor, target_BT: Tensor, position_BT: Tensor | None = None) -> Tensor:
        """``target_BT``: the id that follows each token, -100 where nothing is predicted. Padding is at the
        right and attention looks left, so real tokens never see it and no mask is needed. ``position_BT``: places
        within the documents of a row, which then do not see each other."""
        real_BT = target_BT != -100
        seen = {"input_ids": ids_BT, "use_cache": False}
        if position_BT is not None:
            seen["position_ids"] = position_BT
        if self.plain_head:
            hidden_BTH = self.model.base_model(**seen).last_hidden_state
            logit_NV = self.model.get_output_embeddings()(hidden_BTH[real_BT])
        else:
            logit_NV = self.model(**seen).logits[real_BT]
        return F.cross_entropy(logit_NV.float(), target_BT[real_BT], reduction="sum")


def lay_out(rows: list[list[int]], pad_id: int, context: int) -> tuple[Tensor, Tensor]:
    """``ids_BT`` and ``target_BT`` of token rows; T is the longest row's, rounded up to a multiple of 8 within
    ``context``."""
    longest = max(len(row) - 1 for row in rows)
    width = max(longest, min(longest + -longest % 8, context))
    ids_BT = torch.full((len(rows), width), pad_id, dtype=torch.long)
    target_BT = torch.full((len(rows), width), -100, dtype=torch.long)
    for index, row in enumerate(rows):
        tokens = torch.tensor(row, dtype=torch.long)
        ids_BT[index, : len(row) - 1] = tokens[:-1]
        target_BT[index, : len(row) - 1] = tokens[1:]
    return ids_BT, target_BT
