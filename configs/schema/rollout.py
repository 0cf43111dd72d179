"""How PPO answers its prompts: the engine, the order of the prompts, the table of sampled answers."""

from typing import Literal

from pydantic import model_validator

from configs.schema.strict import Strict, setting


class VllmConfig(Strict):
    """A vLLM that serves the start model: base and fine-tuned adapter merged; see docs/engines.md."""

    mode: Literal["server", "colocated"] = setting(
        "server", "A server of its own, or vLLM inside the training process.", keyed=False
    )
    url: str = setting("http://127.0.0.1:8000", "Address of the server.", keyed=False)
    model: str = setting("", "Folder of the start model, for colocated.", keyed=False)
    adapters: str = setting(
        "", "Folder for the policy's adapter, which the server must see under the same path.", keyed=False
    )
    memory: float = setting(0.3, "Share of the GPU for colocated vLLM.", unit="share", keyed=False, gt=0, lt=1)
    timeout: float = setting(600.0, "Longest wait for the answers of a rollout.", unit="s", keyed=False, gt=0)


class RolloutConfig(Strict):
    """The engine that samples answers. Old log-probabilities come from the training forward pass with all of them."""

    engine: Literal["native", "continuous", "vllm"] = setting(
        "native", "Our own loop, transformers' continuous batching, or vLLM."
    )
    batch: int = setting(256, "Prompts that native answers at a time.", unit="prompts", ge=1)
    by_length: bool = setting(False, "Native: prompts of like length are answered together, with less padding.")
    page: int = setting(16, "Continuous: tokens in a page of the cache.", unit="tokens", ge=4)
    tokens: int = setting(4096, "Continuous: most tokens in a forward pass.", unit="tokens", ge=1)
    vllm: VllmConfig = setting(VllmConfig(), "With engine vllm.")

    @model_validator(mode="after")
    def _complete(self) -> "RolloutConfig":
        if self.engine == "vllm" and not self.vllm.adapters:
            raise ValueError("ppo.rollout.engine=vllm without ppo.rollout.vllm.adapters: name a folder both sides see")
        if self.engine == "vllm" and self.vllm.mode == "colocated" and not self.vllm.model:
            raise ValueError("ppo.rollout.vllm.mode=colocated without ppo.rollout.vllm.model: name the start model")
        return self


class CurriculumConfig(Strict):
    """Which prompt comes when, and how often."""

    order: Literal["shuffle", "given", "short", "column"] = setting(
        "shuffle", "Reshuffled every epoch, as given, shortest first, or by a column of difficulty, lowest first."
    )
    column: str | None = setting(None, "Column of numbers in the prompts' rows, with order column.")
    repeats: int | None = setting(None, "Most times that a prompt is answered in a run.", unit="times", ge=1)
    answers: int = setting(1, "Answers to a prompt in one iteration.", unit="answers", ge=1)

    @model_validator(mode="after")
    def _agree(self) -> "CurriculumConfig":
        if (self.order == "column") != (self.column is not None):
            raise ValueError(
                f"ppo.curriculum.order={self.order} with ppo.curriculum.column={self.column}: the column is given with "
                "order column, and with no other"
            )
        return self


class TableConfig(Strict):
    """Sampled answers with everything that is known of each token, as Parquet in the artifact's rollouts folder."""

    every: int | None = setting(10, "Iterations between two that are kept; none when empty.", unit="iterations", ge=1)
    answers: int = setting(64, "Most answers kept of an iteration by each process.", unit="answers", ge=1)
