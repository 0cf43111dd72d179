"""Credentials in settings are refused, with what to use instead, and never repeated."""

import pytest

from configs.credentials import credentials_in
from configs.recipe import RecipeError, load_recipe
from tasks.failures import BadConfig
from tasks.run import open_store

SECRET = "wJalrXUtnFEMI"
BAD = {
    f"s3://AKIDEXAMPLE:{SECRET}@bucket/prefix": "AWS_SECRET_ACCESS_KEY",
    f"gs://bucket/prefix?token={SECRET}": "GOOGLE_APPLICATION_CREDENTIALS",
    f"https://host/data?X-Amz-Signature={SECRET}": "a Prefect block",
    f"postgresql+asyncpg://prefect:{SECRET}@host/prefect": "PREFECT_API_DATABASE_CONNECTION_URL",
    f"sftp://me:{SECRET}@host/prefix": "an environment variable",
    f"https://{SECRET}@host/data": "an environment variable",
    "AKIA" + "A1B2C3D4E5F6G7H8": "AWS_ACCESS_KEY_ID",
    f"hf_{SECRET}{SECRET}": "HF_TOKEN",
    f"https://hooks.slack.com/services/{SECRET}": "notification block",
}
GOOD = [
    "s3://bucket/prefix", "gs://bucket/a@b", "file:///data/a@b", "/data/a@b:c", "user@example.org", "sftp://me@host/a",
    "abfs://container@account.dfs.core.windows.net/prefix",
    "https://example.org/a?page=2", "package:smollm", "world:documents.jsonl", "meta-llama/Llama-3.2-1B",
]  # fmt: skip


@pytest.mark.parametrize("value", BAD)
def test_a_credential_is_named_and_not_repeated(value: str) -> None:
    (line,) = credentials_in({"corpus": {"sources": [{"path": value}]}})
    assert line.startswith("corpus.sources.0.path holds ")
    assert BAD[value] in line
    assert SECRET not in line


@pytest.mark.parametrize("value", GOOD)
def test_an_ordinary_value_passes(value: str) -> None:
    assert list(credentials_in([value])) == []


def test_a_recipe_with_a_credential_is_refused_before_anything_else_is_said() -> None:
    with pytest.raises(RecipeError) as caught:
        load_recipe("nano", [f"store=s3://key:{SECRET}@bucket", "ppo.betta=1"])
    assert "store holds a user or password in a URL" in str(caught.value)
    assert SECRET not in str(caught.value)


def test_a_store_from_the_environment_with_a_credential_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLUMBLINE_STORE", f"s3://key:{SECRET}@bucket")
    with pytest.raises(BadConfig, match="PLUMBLINE_STORE holds") as caught:
        open_store()
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("value", [value for value in BAD if "@" in value])
def test_the_form_does_not_take_a_password_as_a_parameter(value: str) -> None:
    from pydantic import TypeAdapter, ValidationError

    from flows.form import Overrides

    changes = TypeAdapter(Overrides)
    good = [
        "s3://bucket/prefix",
        "abfs://c@a.net",
        "a@b",
        '[{"path": "x"}]',
        "sftp://me@host/a",
        "hf://datasets/o/n@v1/a",
    ]
    assert changes.validate_python([f"store={text}" for text in good])
    with pytest.raises(ValidationError):
        changes.validate_python([f"store={value}"])
