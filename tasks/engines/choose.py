"""The engine that the settings name."""

from pathlib import Path

from configs.schema.rollout import RolloutConfig
from tasks.engines.engine import Engine
from tasks.engines.native import NativeEngine


def make_engine(config: RolloutConfig, rank: int = 16, main: bool = True) -> Engine:
    """``rank``: of the policy's adapter. ``main``: this process is the one that writes. Raises BadConfig."""
    if config.engine == "continuous":
        from tasks.engines.continuous import ContinuousEngine

        return ContinuousEngine(config.page, config.tokens)
    if config.engine == "native":
        return NativeEngine(config.batch, config.by_length)
    vllm = config.vllm
    if vllm.mode == "server":
        from tasks.engines.vllm_server import VllmServerEngine

        return VllmServerEngine(vllm.url, Path(vllm.adapters), vllm.timeout, main)
    from tasks.engines.vllm_inside import VllmInsideEngine

    return VllmInsideEngine(vllm.model, Path(vllm.adapters), vllm.memory, rank)
