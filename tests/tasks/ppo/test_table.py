"""The table of sampled answers against the curve of the same run, and how it is read."""

import json
from pathlib import Path

import datasets
import pytest
from ppo_parts import Parts, digests, folder

from configs.schema.rollout import TableConfig
from tasks.live import Live
from tasks.ppo.table import SCHEMA, read_rollouts
from tasks.ppo.train import train_ppo


def test_rows_add_up_to_the_curve(parts: Parts, tmp_path: Path) -> None:
    config = parts.config(
        rewards=[{"model": "reward"}, {"function": "hackable:length", "weight": 0.5}],
        table=TableConfig(every=1),
        whiten_advantages=False,
        normalise_reward=False,
    )
    out = folder(tmp_path / "out")
    train_ppo(config, parts.inputs, out, Live(folder(tmp_path / "work")))
    curve = [json.loads(line) for line in (out / "training" / "curve.jsonl").read_text().splitlines()]
    rows = read_rollouts(out / "rollouts").to_pylist()
    assert len(rows) == 4 * 6
    for point in curve:
        own = [row for row in rows if row["iteration"] == point["step"]]
        assert [row["row"] for row in own] == [0, 1, 2, 3, 4, 5]
        assert sum(sum(row["kl"]) for row in own) / 6 == pytest.approx(point["kl"], abs=1e-5)
        assert sum(row["score"] for row in own) / 6 == pytest.approx(point["reward"], abs=1e-4)
        assert sum(len(row["ids"]) for row in own) / 6 == pytest.approx(point["length"], abs=1e-5)
        assert sum(row["ended"] for row in own) / 6 == pytest.approx(point["ended"], abs=1e-5)
    for row in rows:
        scores = {term["name"]: term["score"] for term in row["scores"]}
        assert row["score"] == pytest.approx(scores["model"] + 0.5 * scores["length"], abs=1e-4)
        assert scores["length"] == len(row["completion"])
        assert row["prompt"].startswith("say ab")
        assert len(row["prompt_ids"]) > 0
        lengths = {len(row[name]) for name in ("ids", "logp", "reference_logp", "kl", "value", "reward", "advantage")}
        assert len(lengths) == 1
        for own, start, kl in zip(row["logp"], row["reference_logp"], row["kl"], strict=True):
            assert kl == pytest.approx(own - start, abs=1e-5)
    loaded = datasets.load_dataset(
        "parquet",
        data_files=str(out / "rollouts" / "*.parquet"),
        split="train",
        cache_dir=str(tmp_path / "cache"),
    )
    assert set(loaded.column_names) == set(SCHEMA.names)
    assert len(loaded) == 24


def test_every_and_answers_limit_what_is_kept(parts: Parts, tmp_path: Path) -> None:
    out, none = folder(tmp_path / "out"), folder(tmp_path / "none")
    train_ppo(parts.config(table=TableConfig(every=2, answers=2)), parts.inputs, out, Live(folder(tmp_path / "work")))
    rows = read_rollouts(out / "rollouts").to_pylist()
    assert [(row["iteration"], row["row"]) for row in rows] == [(1, 0), (1, 1), (3, 0), (3, 1)]
    train_ppo(parts.config(table=TableConfig(every=None)), parts.inputs, none, Live(folder(tmp_path / "work2")))
    assert not (none / "rollouts").exists()
    assert read_rollouts(none / "rollouts").num_rows == 0
    kept = {name: digest for name, digest in digests(out).items() if not name.startswith("rollouts/")}
    assert kept == digests(none)
