"""Secrets of the environment do not reach a log."""

import pytest

from tasks.redaction import redact


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("HF_TOKEN", "hf_abcdefgh", "login with hf_abcdefgh"),
        ("AWS_SECRET_ACCESS_KEY", "wJalr/XUtn+FEMI", "key=wJalr/XUtn+FEMI;"),
        ("SOME_APIKEY", "0123456789", "0123456789"),
        ("DB_PASSWORD", "correct horse", "tried 'correct horse'"),
        ("PREFECT_API_AUTH_STRING", "admin:battery-staple", "Basic battery-staple"),
        ("DATABASE_URL", "postgresql://me:st%40ple99@host/db", "cannot reach postgresql://me:st%40ple99@host/db"),
        ("DATABASE_URL", "postgresql://me:st%40ple99@host/db", "password st@ple99 refused"),
    ],
)
def test_a_secret_is_replaced_by_its_name(name: str, value: str, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, value)
    found = redact(said)
    assert f"[{name}]" in found
    for part in ("abcdefgh", "wJalr", "0123456789", "horse", "staple", "st%40ple99", "st@ple99"):
        assert part not in found


def test_a_key_of_several_lines_is_found_line_by_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIGNING_KEY", "-----BEGIN KEY-----\nMIIEvQIBADANBg\n-----END KEY-----")
    assert redact("line: MIIEvQIBADANBg") == "line: [SIGNING_KEY]"


def test_the_longer_of_two_secrets_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_TOKEN", "secret-1")
    monkeypatch.setenv("B_TOKEN", "secret-1-and-more")
    assert redact("secret-1-and-more secret-1") == "[B_TOKEN] [A_TOKEN]"


def test_what_is_no_secret_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKENIZERS_PARALLELISM", "false-value")
    monkeypatch.setenv("SHORT_KEY", "abc")
    monkeypatch.setenv("STORE_URL", "https://host/path")
    text = "false-value abc https://host/path"
    assert redact(text) == text
