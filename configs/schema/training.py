"""Settings that every training stage shares: optimiser, schedule, checkpoints."""

from configs.schema.strict import Strict, setting


class OptimizerConfig(Strict):
    """AdamW with linear warm-up and cosine decay."""

    learning_rate: float = setting(3e-4, "Peak learning rate.", unit="1/step", gt=0)
    warmup_steps: int = setting(20, "Steps of linear warm-up.", unit="steps", ge=0)
    min_rate: float = setting(0.1, "Learning rate at the end, as a share of the peak.", unit="share", ge=0, le=1)
    beta1: float = setting(0.9, "AdamW's first moment decay.", ge=0, lt=1)
    beta2: float = setting(0.95, "AdamW's second moment decay.", ge=0, lt=1)
    weight_decay: float = setting(0.0, "Decoupled weight decay of matrices.", ge=0)
    clip: float = setting(1.0, "Largest gradient norm.", gt=0)


class CheckpointConfig(Strict):
    """Checkpoints live in the working folder, are verified by digest, and disappear after the commit."""

    every: int = setting(100, "Steps between checkpoints.", unit="steps", keyed=False, ge=1)
    keep: int = setting(2, "Checkpoints kept.", unit="checkpoints", keyed=False, ge=1)


class LoraSettings(Strict):
    """Low-rank adapter (Hu et al. 2021)."""

    rank: int = setting(16, "Rank r.", ge=1)
    alpha: float = setting(32.0, "Scale alpha; the update is scaled by alpha/r.", gt=0)
    dropout: float = setting(0.0, "Dropout on the adapter's input.", unit="share", ge=0, lt=1)
    targets: str | list[str] = setting("all-linear", "Modules that get an adapter.")
