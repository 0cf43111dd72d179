"""The one page of a run: every stage with state, time and result, what it cost, where things are, what to do next."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from flows.eyes.headlines import headline
from flows.eyes.markdown import block, code, folded, plain, table
from flows.eyes.progress import duration
from flows.eyes.states import marked
from tasks.report.numbers import show


@dataclass(frozen=True)
class Cost:
    """Device-hours by stage: spent by this run, and spent once by others on what it reused. price: of one hour."""

    spent: Mapping[str, float] = field(default_factory=dict)
    saved: Mapping[str, float] = field(default_factory=dict)
    price: float | None = None

    def __str__(self) -> str:
        spent, saved = sum(self.spent.values()), sum(self.saved.values())
        text = f"**Cost** {_hours(spent)}"
        if self.price is not None:
            text += f" × {show(self.price)} = **{spent * self.price:,.2f}**"
        if saved:
            text += f"; reuse saved {_hours(saved)}"
            text += f" = {saved * self.price:,.2f}" if self.price is not None else ""
        return text


@dataclass(frozen=True)
class View:
    """What the page is drawn from: a copy of the run's record, and what the record does not hold."""

    run: str
    recipe: str
    state: str
    started: str
    seed: int
    rows: list[dict[str, Any]]
    seconds: float
    live: Mapping[str, tuple[str, float]]  # stage that runs → how far it is, for how many seconds it has run
    attempts: Mapping[str, int]
    links: Mapping[str, Mapping[str, str]]  # stage → word → address in the UI
    pages: Mapping[str, str]  # the same, of the whole run
    cost: Cost


def summary(view: View) -> str:
    """The page as Markdown."""
    parts = [
        f"## {view.recipe}: {marked(view.state)}",
        f"{code(view.run)} · seed {view.seed} · since {view.started} · {duration(view.seconds)}",
        table(["stage", "state", "time", "result", "made", ""], [_row(view, row) for row in view.rows], right=[2]),
        str(view.cost),
    ]
    if view.pages:
        parts.append("**See** " + " · ".join(f"[{word}]({address})" for word, address in view.pages.items()))
    return "\n\n".join([*parts, *_errors(view), *_places(view), f"**Next** {next_step(view)}"])


def next_step(view: View) -> str:
    """What a person can do now."""
    if view.state == "Running":
        return f"{code(f'plumbline logs {view.run} --follow')} · Cancel on the run's page stops it with a checkpoint"
    if view.state == "Completed":
        return f"{code(f'plumbline chat {view.run}')} · {code(f'plumbline rerun {view.run} --from reward')}"
    if view.state == "Waiting":
        return f"rank the candidates, then {code(f'plumbline resume {view.run}')} or Resume on the run's page"
    again = f"Retry on the run's page, or {code(f'plumbline rerun {view.run}')}: finished stages are kept"
    failed = next((row["name"] for row in view.rows if row["error"]), None)
    return f"{code(f'plumbline logs {view.run} {failed}')} · {again}" if failed else again


def _row(view: View, row: dict[str, Any]) -> list[str]:
    stage, state = row["name"], marked(row["state"])
    links = dict(view.links.get(stage, {}))
    if (tries := view.attempts.get(stage, 1)) > 1:
        state += f", attempt {tries}"
    if lost := row.get("lost_steps"):
        state += f", {lost:,} steps lost"
    name = f"[{stage}]({links.pop('task')})" if "task" in links else stage
    done, seconds = view.live.get(stage, (headline(stage, row["metrics"]), row["seconds"]))
    made = (row["artifact"] or "")[:8] or ("why" if "result" in links else "")
    made = f"[{made}]({links.pop('result')})" if "result" in links else made
    time = "" if seconds is None else duration(seconds)
    state, time = state.replace(" ", "\u00a0"), time.replace(" ", "\u00a0")  # the newer UI breaks lines
    return [name, state, time, plain(done), made, " ".join(f"[{word}]({address})" for word, address in links.items())]


def _errors(view: View) -> list[str]:
    return [
        f"**{row['name']}** did not finish\n\n{block(folded(row['error'][:2000]))}"
        for row in view.rows
        if row["error"] and row["state"] not in ("Completed", "Reused", "Running")
    ]


def _places(view: View) -> list[str]:
    report = next((row for row in view.rows if row["name"] == "report" and row["uri"]), None)
    if report is None:
        return []
    return [f"**Report** {code(f'plumbline report {view.run} --open')}", block(f"{report['uri']}/content/index.html")]


def _hours(value: float) -> str:
    return f"{value:.4f} device-hours" if value < 0.1 else f"{value:,.2f} device-hours"
