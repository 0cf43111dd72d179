"""The evaluate stage on tiny models, and its measures by hand."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_parts import save_adapter, save_models, save_tokenizer, write_jsonl
from torch.nn.functional import log_softmax
from transformers import LlamaForSequenceClassification

from configs.schema.evaluate import EvaluateConfig
from configs.schema.sources import PromptSource
from tasks.chat import load_tokenizer
from tasks.corpus_shards import write_shards
from tasks.documents import encode_documents
from tasks.evaluate.answers import distinct_2, win_rate
from tasks.evaluate.divergence import answer_kl, kl_of_answer
from tasks.evaluate.evaluate import evaluate
from tasks.failures import BadConfig
from tasks.inputs import Inputs
from tasks.live import Live
from tasks.models import load_chat_model
from tasks.perplexity import perplexity


def test_distinct_2_by_hand() -> None:
    # a b, b a, a b | a b: two different of four
    assert distinct_2(["a b a b", "A B!"]) == 0.5
    assert distinct_2(["one", ""]) == 0


def test_win_rate_counts_equal_rewards_half() -> None:
    rows = [[{"reward": value} for value in side] for side in ([1.0, 0.0, 2.0, 5.0], [0.0, 0.0, 3.0, 4.0])]
    assert win_rate(*rows) == pytest.approx(2.5 / 4)
    assert win_rate(rows[1], rows[0]) == pytest.approx(1.5 / 4)


def test_kl_of_an_answer_by_hand() -> None:
    p, q = torch.tensor([[0.5, 0.5], [1.0, 1e-9]]), torch.tensor([[0.25, 0.75], [0.5, 0.5]])
    expected = 0.5 * math.log(2) + 0.5 * math.log(0.5 / 0.75) + math.log(2)
    assert kl_of_answer(p.log(), q.log()).item() == pytest.approx(expected, abs=1e-5)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("parts")
    found = save_models(root)
    found |= {name: root / name for name in ("aligned", "reward", "corpus")}
    save_adapter(load_chat_model(found["base"]), found["aligned"], seed=7)
    torch.manual_seed(3)
    config = load_chat_model(found["base"]).config
    config.num_labels = 1
    LlamaForSequenceClassification(config).save_pretrained(found["reward"])
    save_tokenizer(found["reward"])
    rows = [
        {"id": str(n), "text": f"text {n} " * 30, "source": "s", "language": "en", "metadata": {}} for n in range(6)
    ]
    write_shards(found["corpus"], "heldout", rows, 100)
    return found


def run(tmp_path: Path, folders: dict[str, Path], **settings: Any) -> tuple[dict[str, Any], Path]:
    prompts = write_jsonl(tmp_path / "prompts.jsonl", [{"prompt": f"say {n}"} for n in range(5)])
    out, work = tmp_path / "out", tmp_path / "work"
    out.mkdir()
    work.mkdir()
    values: dict[str, Any] = {"max_new_tokens": 6, "max_length": 64, "heldout_documents": 4, "samples": 2, "seed": 0}
    config = EvaluateConfig(prompts=PromptSource(path="p"), **{**values, **settings})
    return evaluate(config, Inputs(folders=folders, sources={"p": [prompts]}), out, Live(work)), out


def test_metrics_files_and_same_bytes(tmp_path: Path, folders: dict[str, Path]) -> None:
    outs = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        found, out = run(tmp_path / name, folders)
        outs.append(out)
    measures = ("perplexity", "instruction_following", "reward", "reward_std", "length", "ended", "distinct_2")
    names = {f"{measure}_{model}" for measure in measures for model in ("base", "finetuned", "aligned")}
    assert set(found) == names | {"prompts", "documents", "kl", "win_rate"}
    assert (found["prompts"], found["documents"]) == (5, 4)
    assert found["kl"] > 0
    assert 0 <= found["win_rate"] <= 1
    assert found["reward_base"] != found["reward_aligned"]
    # Perplexity is the shared one, on the first four documents cut to max_length
    tokenizer = load_tokenizer(folders["base"])
    texts = [{"text": f"text {n} " * 30, "metadata": {}} for n in range(4)]
    rows = [ids[:65] for ids in encode_documents(tokenizer, texts)]
    assert found["perplexity_base"] == pytest.approx(perplexity(load_chat_model(folders["base"]), rows, 0))
    report = json.loads((outs[0] / "evaluation.json").read_text())
    assert report["models"]["aligned"]["reward"] == found["reward_aligned"]
    samples = [json.loads(line) for line in (outs[0] / "samples.jsonl").read_text().splitlines()]
    assert len(samples) == 2
    assert set(samples[0]) == {"prompt", "base", "finetuned", "aligned", "reward", "follows"}
    assert set(samples[0]["reward"]) == set(samples[0]["follows"]) == {"base", "finetuned", "aligned"}
    for name in ("evaluation.json", "samples.jsonl"):
        assert (outs[0] / name).read_bytes() == (outs[1] / name).read_bytes()


def test_rubric_wants_prompts_of_the_world(tmp_path: Path, folders: dict[str, Path]) -> None:
    with pytest.raises(BadConfig, match=r"evaluate\.rubric: world.*set `rubric: none`"):
        run(tmp_path, folders, rubric="world")


def test_kl_agrees_with_a_plain_sum_and_is_zero_for_the_same_model(folders: dict[str, Path]) -> None:
    model, other = load_chat_model(folders["base"]), load_chat_model(folders["base"], folders["aligned"])
    prompts, answers = [[5, 6, 7], [8]], [[9, 1], [10, 11, 12]]
    assert answer_kl(model, model, prompts, answers, 0) == pytest.approx(0, abs=1e-6)
    expected = 0.0
    for prompt, answer in zip(prompts, answers, strict=True):
        for at in range(len(answer)):
            ids = torch.tensor([prompt + answer[:at]])
            logp, logq = (log_softmax(m(input_ids=ids).logits[0, -1], -1) for m in (model, other))
            expected += float((logp.exp() * (logp - logq)).sum()) / 2
    assert answer_kl(model, other, prompts, answers, 0) == pytest.approx(expected, rel=1e-4)
