"""Sampled answers as Parquet, a shard an iteration and process: what the models say of every token."""

import math
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
from torch import Tensor

from configs.schema.rollout import TableConfig

if TYPE_CHECKING:
    from tasks.ppo.experience import Round
    from tasks.ppo.iteration import Rollout, Scored

FLOATS = pa.list_(pa.float32())
SCHEMA = pa.schema(
    [
        ("iteration", pa.int32()),
        ("row", pa.int32()),  # place in the batch over all processes
        ("prompt", pa.string()),
        ("completion", pa.string()),
        ("prompt_ids", pa.list_(pa.int32())),
        ("ids", pa.list_(pa.int32())),
        ("ended", pa.bool_()),
        ("score", pa.float32()),  # the weighted sum, as the terms give it
        (
            "scores",
            pa.list_(pa.struct([("name", pa.string()), ("score", pa.float32())])),
        ),  # by term of ppo.rewards; null: it had nothing to say
        ("logp", FLOATS),
        ("reference_logp", FLOATS),
        ("kl", FLOATS),
        ("value", FLOATS),
        ("reward", FLOATS),  # score and KL penalty, as advantages see it
        ("advantage", FLOATS),
    ]
)


@dataclass(frozen=True)
class Table:
    """Writes shards into ``folder``. An iteration that is done again after a kill replaces its shard, same bytes."""

    folder: Path
    config: TableConfig
    rank: int = 0

    def __call__(self, iteration: int, rollout: "Rollout", scored: "Scored", done: "Round") -> None:
        """``iteration`` from 1; kept are 1, 1 + every, 1 + 2·every, …"""
        every = self.config.every
        if every is None or (iteration - 1) % every:
            return
        rows = [_row(iteration, place, rollout, scored, done) for place in range(len(rollout.rows))]
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / f"iteration-{iteration:06d}-{self.rank:03d}.parquet"
        new = path.with_suffix(".new")
        pq.write_table(pa.Table.from_pylist(rows[: self.config.answers], schema=SCHEMA), new, compression="zstd")
        new.replace(path)

    def put_into(self, folder: Path) -> None:
        """Copy the shards of all processes into an artifact."""
        for shard in sorted(self.folder.glob("iteration-*.parquet")):
            folder.mkdir(exist_ok=True)
            shutil.copyfile(shard, folder / shard.name)


def _row(iteration: int, place: int, rollout: "Rollout", scored: "Scored", done: "Round") -> dict[str, Any]:
    answers = rollout.answers
    length, asked = int(answers.length_B[place]), int(answers.prompt_length_B[place])
    ids = answers.ids_BL[place].tolist()
    first = answers.prompt_width

    def tokens(value_BT: Tensor) -> list[float]:
        return value_BT[place, :length].detach().float().cpu().tolist()

    return {
        "iteration": iteration,
        "row": rollout.rows[place],
        "prompt": rollout.prompts[place].text,
        "completion": rollout.texts[place],
        "prompt_ids": ids[first - asked : first],
        "ids": ids[first : first + length],
        "ended": bool(rollout.ended_B[place]),
        "score": float(scored.raw_B[place]),
        "scores": [{"name": name, "score": _said(float(score_B[place]))} for name, score_B in scored.terms.items()],
        "logp": tokens(rollout.logp_BT),
        "reference_logp": tokens(rollout.reference_BT),
        "kl": tokens(rollout.logp_BT - rollout.reference_BT),
        "value": tokens(rollout.value_BT),
        "reward": tokens(scored.reward_BT),
        "advantage": tokens(done.experience.advantage_BT),
    }


def _said(score: float) -> float | None:
    return None if math.isnan(score) else score


def read_rollouts(folder: Path) -> pa.Table:
    """All shards of an artifact's ``rollouts`` folder, in order of iteration and row."""
    shards = [pq.read_table(path) for path in sorted(folder.glob("iteration-*.parquet"))]
    found = pa.concat_tables(shards) if shards else SCHEMA.empty_table()
    return found.sort_by([("iteration", "ascending"), ("row", "ascending")])
