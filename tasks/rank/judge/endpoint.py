"""An OpenAI-compatible chat endpoint: one question, one reply, with patience for a busy server."""

import email.utils
import os
import random
import time
from dataclasses import dataclass
from typing import Any

import httpx

from configs.schema.judge import JudgeConfig
from tasks.failures import BadConfig, ServiceFailure

BUSY = {408, 409, 425, 429}  # and every 5xx: worth another try
LONGEST_WAIT = 120.0  # seconds between two tries, whatever Retry-After says
SHOWN = 200  # characters of a refusal


@dataclass(frozen=True)
class Reply:
    """What the judge said, and what it cost in tokens; 0 where the endpoint does not say."""

    text: str
    tokens_in: int
    tokens_out: int


class Endpoint:
    """Asks over HTTP; may be used by several threads. The key is read from the environment and kept nowhere else."""

    def __init__(self, config: JudgeConfig) -> None:
        self.config = config
        key = os.environ.get(config.key_env, "")
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        limits = httpx.Limits(max_connections=config.concurrency)
        address = (config.url or "").rstrip("/") + "/"
        # No redirect is followed: the key goes to the named endpoint only
        self._client = httpx.Client(base_url=address, headers=headers, timeout=config.timeout_seconds, limits=limits)
        self._key = key
        self._jitter = random.Random()  # spreads the tries of many threads, and changes no result

    def close(self) -> None:
        self._client.close()

    def ask(self, text: str) -> Reply:
        """The reply to one user message.

        Raises BadConfig when the endpoint refuses the question for good (a wrong key, an unknown model), ServiceFailure
        when it did not answer properly in ``attempts`` tries.
        """
        body = {
            "model": self.config.model,
            "messages": [{"role": "user", "content": text}],
            "temperature": self.config.temperature,
            "max_tokens": self.config.max_tokens,
        }
        problem = ""
        for attempt in range(1, self.config.attempts + 1):
            asked_to_wait = None
            try:
                response = self._client.post("chat/completions", json=body)
            except httpx.TransportError as error:
                problem = f"{type(error).__name__}: {error}"
            else:
                if response.status_code == 200:
                    if (reply := _read(response)) is not None:
                        return reply
                    problem = f"a reply that is no chat completion: {self._shown(response)}"
                elif response.status_code in BUSY or response.status_code >= 500:
                    problem = f"status {response.status_code}: {self._shown(response)}"
                    asked_to_wait = _retry_after(response)
                else:
                    raise BadConfig(
                        f"the judge at {self.config.url} refuses with status {response.status_code}: "
                        f"{self._shown(response)}; correct rank.judge.url, rank.judge.model or the key in the "
                        f"environment variable {self.config.key_env}"
                    )
            if attempt < self.config.attempts:
                time.sleep(self._wait(attempt, asked_to_wait))
        raise ServiceFailure(
            f"the judge at {self.config.url} gave no answer in {self.config.attempts} tries, the last: {problem}; "
            "lower rank.judge.concurrency, or raise rank.judge.attempts or timeout_seconds; what it said before is kept"
        )

    def _wait(self, attempt: int, asked: float | None) -> float:
        growing = self.config.backoff_seconds * 2 ** (attempt - 1) * (1 + self._jitter.random() / 4)
        return min(max(asked, growing) if asked is not None else growing, LONGEST_WAIT)

    def _shown(self, response: httpx.Response) -> str:
        """The beginning of what came back; a server that repeats the key does not get it into a log."""
        text = response.text[: 10 * SHOWN]
        return repr((text.replace(self._key, "(key)") if self._key else text)[:SHOWN])


def _read(response: httpx.Response) -> Reply | None:
    """The message of a chat completion; None when the body is none."""
    try:
        data: Any = response.json()
        text = data["choices"][0]["message"]["content"]
        usage = data.get("usage") or {}
        counts = [usage.get(name) for name in ("prompt_tokens", "completion_tokens")]
    except (ValueError, LookupError, TypeError, AttributeError):
        return None
    tokens_in, tokens_out = (count if isinstance(count, int) else 0 for count in counts)
    # A refusal has no content: it is read as a reply that names no winner
    return Reply(text if isinstance(text, str) else "", tokens_in, tokens_out)


def _retry_after(response: httpx.Response) -> float | None:
    """Seconds that the server asks to wait: a number, or a date (RFC 9110, 10.2.3)."""
    value = response.headers.get("Retry-After", "").strip()
    try:
        return max(float(value), 0.0)
    except ValueError:
        pass
    try:
        return max(email.utils.parsedate_to_datetime(value).timestamp() - time.time(), 0.0)
    except (ValueError, TypeError):
        return None
