"""Where the ranking page is, and the link by which each annotator comes in."""

import os
from http.client import HTTPException
from pathlib import Path
from urllib.request import urlopen

from configs.schema.rank import PORT, PeopleConfig
from tasks.rank.page.tokens import Tokens, read_secret

VARIABLE = "PLUMBLINE_RANK_URL"


def page_address(port: int = PORT) -> str:
    """PLUMBLINE_RANK_URL, what a proxy in front of the page is called; else the loopback."""
    return (os.environ.get(VARIABLE) or f"http://127.0.0.1:{port}").rstrip("/")


def page_links(folder: Path, names: list[str], address: str) -> dict[str, str]:
    """The link of every annotator of a desk's folder; the same until page.secret is deleted there."""
    tokens = Tokens(read_secret(folder), names)
    return {name: f"{address}/{folder.name}/in/{tokens.login(name)}" for name in names}


def is_served(folder: Path, port: int) -> bool:
    """Whether the page of a desk answers on this host."""
    try:
        with urlopen(f"http://127.0.0.1:{port}/{folder.name}/healthy", timeout=1) as answer:
            return bool(answer.status == 200)
    except (OSError, HTTPException):
        return False


def asked_links(folder: Path, asked: PeopleConfig) -> dict[str, str]:
    """The links as the settings of a run say it."""
    return page_links(folder, asked.who, page_address(asked.page.port))
