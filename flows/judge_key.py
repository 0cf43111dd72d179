"""The judge's key: from an environment variable, or from a Prefect secret, into the environment of the rank stage."""

import os
from typing import Any

from configs.schema.rank import RankConfig
from tasks.failures import BadConfig


def lend_key(config: RankConfig) -> None:
    """Put the key of the secret that rank.judge.key_secret names where the stage reads it, unless one is there.

    The stage runs in a child process without Prefect. Raises BadConfig when the secret cannot be read.
    """
    judge = config.judge if "judge" in config.rankers else None
    if judge is None or judge.key_secret is None or os.environ.get(judge.key_env):
        return
    from prefect.blocks.system import Secret

    try:
        secret: Any = Secret.load(judge.key_secret, _sync=True)  # type: ignore[call-arg]  # added by its decorator
    except ValueError as error:
        raise BadConfig(
            f"rank.judge.key_secret={judge.key_secret!r}: no such Prefect secret; make it in the UI under Blocks, or "
            f"set the environment variable {judge.key_env}"
        ) from error
    os.environ[judge.key_env] = str(secret.get())
