"""Texts of the pretraining gradient: from the corpus, from conversations; the stage with them."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from ppo_parts import Parts

from configs.schema.ppo_parts import PtxConfig
from configs.schema.sources import InstructionSource
from tasks.corpus_shards import write_shards
from tasks.failures import BadConfig
from tasks.inputs import Inputs
from tasks.live import Live
from tasks.ppo.ptx import load_texts
from tasks.ppo.train import train_ppo


def _with_corpus(parts: Parts, tmp_path: Path) -> Inputs:
    rows = [
        {"id": str(n), "text": "the ab " * (n + 1), "source": "s", "language": "en", "metadata": {}} for n in range(9)
    ]
    write_shards(tmp_path / "corpus", "train", rows, 4)
    return replace(parts.inputs, folders={**parts.inputs.folders, "corpus": tmp_path / "corpus"})


def test_documents_of_the_corpus_are_learned_whole_and_cut(parts: Parts, tmp_path: Path) -> None:
    config = parts.config(ptx=PtxConfig(coefficient=1.0, max_length=8))
    texts = load_texts(config, _with_corpus(parts, tmp_path), parts.tokenizer, 128)
    assert texts is not None
    assert len(texts.rows) == 9
    assert {len(row.ids) for row in texts.rows} <= set(range(2, 9))
    assert all(all(row.learned) and row.ids[0] == 1 for row in texts.rows)
    assert parts.tokenizer.decode(texts.rows[0].ids) == "<|endoftext|>the ab <|endoftext|>"
    few = parts.config(ptx=PtxConfig(coefficient=1.0, batch=1), iterations=1, epochs=1, minibatch=3)
    sampled = load_texts(few, _with_corpus(parts, tmp_path), parts.tokenizer, 128)
    assert sampled is not None
    assert len(sampled.rows) == 2, "no more than the run can use"


def test_conversations_are_learned_where_the_assistant_speaks(parts: Parts, tmp_path: Path) -> None:
    path = tmp_path / "talk.jsonl"
    path.write_text(json.dumps({"instruction": "say ab", "output": "the cd"}) + "\n", encoding="utf-8")
    ptx = PtxConfig(coefficient=1.0, source="instructions", instructions=[InstructionSource(path="talk")])
    inputs = replace(parts.inputs, sources={**parts.inputs.sources, "talk": [path]})
    texts = load_texts(parts.config(ptx=ptx), inputs, parts.tokenizer, 128)
    assert texts is not None
    ((ids, learned),) = texts.rows
    assert parts.tokenizer.decode([t for t, on in zip(ids, learned, strict=True) if on]) == "the cd<|im_end|>"


def test_off_it_reads_nothing_and_without_a_corpus_it_says_what_to_set(parts: Parts) -> None:
    assert load_texts(parts.config(), parts.inputs, parts.tokenizer, 128) is None
    with pytest.raises(BadConfig, match=r"ppo\.ptx\.source=corpus and no corpus is given"):
        load_texts(parts.config(ptx=PtxConfig(coefficient=1.0)), parts.inputs, parts.tokenizer, 128)


def test_the_stage_learns_the_corpus_beside_the_reward(parts: Parts, tmp_path: Path) -> None:
    for name in ("out", "work"):
        (tmp_path / name).mkdir()
    config = parts.config(ptx=PtxConfig(coefficient=20.0, batch=4), iterations=6, learning_rate=0.02)
    train_ppo(config, _with_corpus(parts, tmp_path), tmp_path / "out", Live(tmp_path / "work"))
    lines = (tmp_path / "out" / "training" / "curve.jsonl").read_text(encoding="utf-8").splitlines()
    losses = [json.loads(line)["ptx_loss"] for line in lines]
    assert losses[-1] < losses[0] - 0.5
