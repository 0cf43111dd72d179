"""The judge's key comes from the environment, or from a Prefect secret by its name."""

import os

import pytest
from prefect.blocks.system import Secret

from configs.schema.judge import JudgeConfig
from configs.schema.rank import RankConfig
from flows.judge_key import lend_key
from tasks.failures import BadConfig

KEY = "judge-key-that-nobody-may-see"


def config(secret: str | None) -> RankConfig:
    return RankConfig(ranker="judge", judge=JudgeConfig(key_env="A_JUDGES_KEY", key_secret=secret))


@pytest.mark.usefixtures("prefect_server")
def test_a_secret_is_lent_to_the_stage(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_JUDGES_KEY", "")
    Secret(value=KEY).save("judge-key")
    lend_key(config("judge-key"))
    assert os.environ["A_JUDGES_KEY"] == KEY
    monkeypatch.setenv("A_JUDGES_KEY", "mine")
    lend_key(config("judge-key"))
    assert os.environ["A_JUDGES_KEY"] == "mine"  # what is there is not replaced
    monkeypatch.delenv("A_JUDGES_KEY")
    with pytest.raises(BadConfig, match=r"key_secret='no-such'.*A_JUDGES_KEY"):
        lend_key(config("no-such"))
    assert KEY not in config("judge-key").model_dump_json()


def test_without_a_judge_nothing_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("A_JUDGES_KEY", raising=False)
    lend_key(RankConfig(ranker="rubric"))
    lend_key(config(None))
    assert "A_JUDGES_KEY" not in os.environ
