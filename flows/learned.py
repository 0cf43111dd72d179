"""The end of a run: what was learned, one prompt answered three times, where the report is, what to do next."""

import json
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from flows.show import open_run_artifact
from tasks.run import RunRecord


def print_learned(console: Console, record: RunRecord) -> None:
    """Numbers, answers, report and the next commands of a finished run."""
    metrics = {row["name"]: row["metrics"] for row in record.stages}
    console.print("\n[bold]What was learned[/bold]")
    for line in learned(metrics):
        console.print(f"  {line}", soft_wrap=True)
    made = {row["name"] for row in record.stages if row["uri"]}
    # Through the store: artifacts may lie on a remote one, and what is shown has been verified
    if "evaluate" in made:
        _print_answers(console, open_run_artifact(record, "evaluate") / "samples.jsonl")
    if "report" in made:
        page = open_run_artifact(record, "report") / "index.html"
        console.print(f"\n[bold]Report[/bold]  {page}", soft_wrap=True)
    console.print("\n[bold]Next[/bold]")
    for command in (
        "plumbline chat                                  talk to the aligned model",
        "plumbline rerun --from reward                   train the reward model and PPO again",
        "plumbline status                                all stages, artifacts and metrics",
    ):
        console.print(f"  {command}", soft_wrap=True)


def learned(metrics: dict[str, dict[str, Any]]) -> list[str]:
    """One line a stage that measured something, from the metrics of a run."""
    lines = []
    pre, sft, rew = metrics.get("pretrain", {}), metrics.get("finetune", {}), metrics.get("reward", {})
    aligned, scores = metrics.get("ppo") or metrics.get("trl", {}), metrics.get("evaluate", {})
    if pre.get("perplexity") is not None:
        bound = f" (the text's own bound: {pre['perplexity_bound']:.3f})" if pre.get("perplexity_bound") else ""
        lines.append(f"perplexity, held out        {pre['perplexity_start']:.1f} → {pre['perplexity']:.3f}{bound}")
    if sft.get("instruction_following") is not None:
        share = scores.get("instruction_following_aligned")
        tail = "" if share is None else f" → {share:.0%} aligned"
        start, end = sft["instruction_following_start"], sft["instruction_following"]
        lines.append(f"instructions followed       {start:.0%} base → {end:.0%} fine-tuned{tail}")
    if rew.get("pair_accuracy") is not None:
        accuracy, length = rew["pair_accuracy"], rew["length_baseline"]
        lines.append(f"reward model, held out      {accuracy:.1%} of pairs right (length alone: {length:.1%})")
        probes = [f"{name[6:]} {value:.2f}" for name, value in rew.items() if name.startswith("probe_")]
        if probes:
            lines.append(f"  one attribute changed     {', '.join(probes)}")
    if aligned.get("reward") is not None:
        start, end = aligned.get("rubric_start"), aligned.get("rubric")
        rubric = f", rubric {start:.2f} → {end:.2f}" if start is not None and end is not None else ""
        head = f"{str(aligned.get('method', 'ppo')).upper()}, sampled, held out"
        lines.append(
            f"{head:27} reward {aligned['reward_start']:.2f} → {aligned['reward']:.2f}{rubric}, "
            f"KL {aligned['kl']:.1f} nats an answer"
        )
    return lines


def _print_answers(console: Console, samples: Path) -> None:
    if not samples.is_file():
        return
    rows = [json.loads(line) for line in samples.read_text(encoding="utf-8").splitlines()]
    if not rows:
        return
    row = rows[0]
    table = Table(title=row["prompt"], title_justify="left", title_style="bold", show_lines=True, expand=False)
    table.add_column("model")
    table.add_column("answer", overflow="fold")
    for name, label in (("base", "base"), ("finetuned", "fine-tuned"), ("aligned", "aligned")):
        table.add_row(label, row[name])
    console.print()
    console.print(table, markup=False)
