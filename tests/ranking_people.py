"""Somebody who ranks, without a browser."""

import re
from dataclasses import dataclass
from html import unescape
from typing import Any

import httpx


def as_seen(row: dict[str, Any], values: list[Any]) -> list[Any]:
    """Values of the candidates of a row, in the order in which its annotator saw them."""
    return [value for _, value in sorted(zip(row["shown"], values, strict=True))]


@dataclass
class Person:
    """Somebody with a link, who reads the form that the page shows."""

    client: httpx.Client

    @classmethod
    def by_link(cls, link: str) -> "Person":
        """Somebody who was sent this link."""
        base, _, token = link.partition("/in/")
        return cls(httpx.Client(base_url=base, timeout=60)).enter(token)

    def enter(self, token: str) -> "Person":
        assert self.client.get(f"/in/{token}").status_code == 200
        return self

    def look(self, address: str = "/") -> dict[str, str]:
        """Hidden fields of the page; empty when there is nothing to rank."""
        text = self.client.get(address).text
        return {name: unescape(value) for name, value in re.findall(r'type="hidden" name="(\w+)" value="(.*?)"', text)}

    def order(self, address: str = "/") -> list[str]:
        """The answers as they stand on the page."""
        return re.findall(r"answer \d+-\d+", self.client.get(address).text)

    def send(self, form: dict[str, str], *ranks: int, **more: Any) -> httpx.Response:
        given = {f"rank_{place}": str(rank) for place, rank in enumerate(ranks)}
        body = {**form, "verdict": "ranked", "comment": "", **given, **more}
        headers = body.pop("headers", {"Accept": "application/json"})
        return self.client.post("/submit", data=body, headers=headers)
