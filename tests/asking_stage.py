"""A candidates stage without a model, for tests of the pause for people."""

from pathlib import Path
from typing import Any

from configs.schema.strict import Strict
from tasks.candidate_rows import Candidates, write_candidates
from tasks.inputs import Inputs
from tasks.live import Live
from tasks.stage import stage


class ToyConfig(Strict):
    """Nothing to set."""


@stage(version=1, makes="candidates")
def candidates(config: ToyConfig, inputs: Inputs, out: Path, live: Live) -> dict[str, Any]:
    """Three answers to each of four prompts."""
    prompts = [[{"role": "user", "content": f"q{n}"}] for n in range(4)]
    write_candidates(out, [Candidates(prompt, ["a", "b", f"c{n}"], 0) for n, prompt in enumerate(prompts)])
    return {"prompts": 4}
