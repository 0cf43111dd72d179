"""Ways to start accelerate under which PPO would not compute what it says: refused, with what to set."""

import os

from accelerate import Accelerator
from accelerate.utils import DistributedType

from tasks.failures import BadConfig

WHOLE_WEIGHTS = (
    DistributedType.NO,
    DistributedType.MULTI_CPU,
    DistributedType.MULTI_GPU,
    DistributedType.MULTI_XPU,
    DistributedType.MULTI_NPU,
)


def check_supported(accelerator: Accelerator) -> None:
    """Raises BadConfig unless every process holds whole float32 weights and steps when it is told."""
    kind = accelerator.distributed_type
    # on CPUs accelerate lets FSDP settings pass and does not shard: what was asked for would silently not happen
    asked = "FSDP" if os.environ.get("ACCELERATE_USE_FSDP", "false").lower() == "true" else kind.value
    if kind not in WHOLE_WEIGHTS or asked == "FSDP":
        raise BadConfig(
            f"ppo under accelerate's distributed_type={asked}: adapters take turns on one frozen model and "
            "answers are sampled from it token by token, which needs whole weights in every process; set "
            "ppo.launch.processes (or an accelerate_config of type MULTI_GPU, see configs/launch/ddp.yaml), and for a "
            "model that does not fit keep ppo.method=lora and set ppo.merge_for_sampling=false"
        )
    if accelerator.mixed_precision != "no":
        raise BadConfig(
            f"ppo under accelerate's mixed_precision={accelerator.mixed_precision}: ratios of log-probabilities are "
            "taken in float32; set mixed_precision to 'no'"
        )
    if accelerator.gradient_accumulation_steps != 1:
        raise BadConfig(
            f"ppo under accelerate's gradient_accumulation_steps={accelerator.gradient_accumulation_steps}: a step is "
            "a minibatch; set it to 1, and ppo.micro_batch to save memory"
        )
