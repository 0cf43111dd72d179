"""How a training stage is started. Nothing here is part of an artifact key."""

from configs.schema.strict import Strict, setting


class LaunchConfig(Strict):
    """Processes, threads and patience of a stage that runs as a child process."""

    processes: int = setting(1, "Processes started by accelerate.", unit="processes", keyed=False, ge=1)
    threads: int = setting(2, "Threads of a process for matrix work.", unit="threads", keyed=False, ge=1)
    accelerate_config: str | None = setting(
        None, "Accelerate config file that replaces processes (see configs/launch).", unit="path", keyed=False
    )
    device_class: str | None = setting(
        None, "Class of GPU to run on, nvidia-h200 (see plumbline slots); any that is free when empty.", keyed=False
    )
    retries: int = setting(2, "Retries after a transient failure.", unit="attempts", keyed=False, ge=0)
    grace_seconds: float = setting(
        7.0, "Time between SIGTERM and SIGKILL to save a checkpoint.", unit="s", keyed=False, gt=0
    )
