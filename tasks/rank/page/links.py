"""Where the ranking page is, as other people's messages say it."""

import os

PORT = 4300
VARIABLE = "PLUMBLINE_RANK_URL"


def page_address(port: int = PORT) -> str:
    """PLUMBLINE_RANK_URL, what a proxy in front of the page is called; else the loopback."""
    return os.environ.get(VARIABLE) or f"http://127.0.0.1:{port}"
