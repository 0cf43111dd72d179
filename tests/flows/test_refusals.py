"""Why a Prefect server could not be used, in one sentence, and silence on everything else."""

import httpx
import pytest
from prefect.exceptions import PrefectHTTPStatusError

from flows.refusals import server_refusal

REQUEST = httpx.Request("GET", "http://127.0.0.1:4200/api/health")


@pytest.fixture(autouse=True)
def address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:4200/api")
    monkeypatch.delenv("PREFECT_API_AUTH_STRING", raising=False)


def answered(status: int) -> Exception:
    answer = httpx.Response(status, request=REQUEST)
    return PrefectHTTPStatusError(f"{status}", request=REQUEST, response=answer)


def test_a_missing_and_a_wrong_password(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "4200/api asks for PREFECT_API_AUTH_STRING" in str(server_refusal(answered(401)))
    monkeypatch.setenv("PREFECT_API_AUTH_STRING", "admin:wrong")
    said = str(server_refusal(answered(401)))
    assert "does not accept PREFECT_API_AUTH_STRING" in said
    assert "admin:wrong" not in said


def test_the_root_cause_is_named() -> None:
    outer = RuntimeError("Failed to reach API at http://127.0.0.1:4200/api/")
    assert "does not answer" in str(server_refusal(outer))
    outer.__cause__ = httpx.ConnectError("[SSL: CERTIFICATE_VERIFY_FAILED] self-signed", request=REQUEST)
    assert "set PREFECT_API_SSL_CERT_FILE" in str(server_refusal(outer))


@pytest.mark.parametrize(
    "error",
    [
        ValueError("a bug"),
        answered(500),
        httpx.HTTPStatusError("401", request=REQUEST, response=httpx.Response(401, request=REQUEST)),
    ],
)
def test_what_is_not_the_servers_refusal_keeps_its_traceback(error: Exception) -> None:
    assert server_refusal(error) is None
