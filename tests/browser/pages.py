"""What an operator does in the Prefect UI: open a form, fill it, watch a run, cancel it, try it again."""

from __future__ import annotations

import re
import time
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx

if TYPE_CHECKING:  # without the extra `browser`, these tests are skipped
    from playwright.sync_api import Locator, Page

PICTURES = Path(__file__).parents[2] / "docs" / "pictures"
PATIENCE = 120_000  # milliseconds; other tests may have the cores
FINAL = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}


class Pages:
    """One browser page in front of one server."""

    def __init__(self, url: str, page: Page) -> None:
        self.url, self.page = url, page
        page.set_default_timeout(PATIENCE)

    def open_form(self, deployment: str) -> None:
        """Deployments → search → Run → Custom run, by clicks."""
        page = self.page
        page.goto(f"{self.url}/deployments")
        page.get_by_placeholder("Search deployments").fill(deployment)
        page.wait_for_url("**flowOrDeploymentNameLike**")
        page.locator("tr", has_text=deployment).get_by_role("link", name=deployment, exact=True).first.click()
        page.get_by_role("button", name="Run", exact=True).click()
        page.get_by_text("Custom run").click()
        self.field("recipe").wait_for()

    def field(self, name: str) -> Locator:
        """The box of a parameter: label, description, input."""
        label = self.page.locator(".schema-form-property__label", has_text=re.compile(rf"^{name}\b"))
        return self.page.locator(".schema-form-property").filter(has=label).last

    def type(self, name: str, value: str) -> None:
        self.field(name).locator("input, textarea").first.fill(value)

    def select(self, name: str, *values: str) -> None:
        """Pick from a drop-down, which opens by its arrow: a click on its text opens and closes it (Prefect 3.8)."""
        self.field(name).locator(".p-select-button__icon, .p-combobox__icon").last.click()
        for value in values:
            self.page.get_by_role("option", name=value, exact=True).click()
        self.page.get_by_text("Parameters", exact=True).first.click()  # a list of several choices stays open

    def add_override(self, text: str) -> None:
        box = self.field("overrides")
        box.get_by_role("button", name="Add item").click()
        box.locator("textarea").last.fill(text)

    def submit(self) -> str:
        """Start the run; returns its id. A server whose SQLite is locked by a busy machine is asked again."""
        for _ in range(3):
            with self.page.expect_response(re.compile("create_flow_run$")) as answer:
                self.page.get_by_role("button", name="Submit").click()
            if answer.value.status < 500:
                break
        created = answer.value.json()
        assert answer.value.status == 201, created
        return str(created["id"])

    def watch(self, run: str) -> None:
        self.page.goto(f"{self.url}/runs/flow-run/{run}")

    def ask(self, path: str, **body: Any) -> Any:
        """A question to the API, behind the browser's back."""
        method = "POST" if body else "GET"
        headers = self._token() if body else {}
        return httpx.request(method, f"{self.url}/api/{path}", json=body or None, headers=headers, timeout=60).json()

    def _token(self) -> dict[str, str]:
        asked = httpx.get(f"{self.url}/api/csrf-token", params={"client": "test"}, timeout=60).json()
        return {"Prefect-Csrf-Token": asked["token"], "Prefect-Csrf-Client": "test"}

    def wait_for(self, run: str, *names: str, seconds: float) -> dict[str, Any]:
        """Wait until the run has a state of one of these names; returns the state."""
        limit = time.monotonic() + seconds
        while time.monotonic() < limit:
            state: dict[str, Any] = self.ask(f"flow_runs/{run}")["state"]
            if state["name"] in names:
                return state
            assert state["type"] not in FINAL, state
            time.sleep(0.5)
        raise AssertionError(f"{run} is {state['name']}, not {names}, after {seconds:g} s")

    def stages(self, run: str) -> dict[str, str]:
        """Name of the state of every task of a run; after a retry, of its last attempt."""
        rows = self.ask(
            "task_runs/filter", flow_runs={"id": {"any_": [run]}}, limit=200, sort="EXPECTED_START_TIME_ASC"
        )
        return {row["name"].rpartition("-")[0]: row["state"]["name"] for row in rows}

    def picture(self, name: str, height: int = 900, settle: float = 1.5) -> None:
        """docs/pictures/ui-NAME.png, 1280 pixels wide, in 128 colours. settle: seconds until the page has drawn all."""
        from PIL import Image

        self.page.set_viewport_size({"width": 1280, "height": height})
        self.page.wait_for_timeout(1000 * settle)
        image = Image.open(BytesIO(self.page.screenshot()))
        image.convert("RGB").quantize(128).save(PICTURES / f"ui-{name}.png", optimize=True)
        self.page.set_viewport_size({"width": 1280, "height": 900})
