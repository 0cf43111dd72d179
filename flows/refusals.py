"""Say in one sentence why the Prefect server could not be used, and which setting to change."""

import os
from collections.abc import Iterator

AUTH = "PREFECT_API_AUTH_STRING"
URL = "PREFECT_API_URL"


def server_refusal(error: BaseException) -> str | None:
    """The sentence for a wrong password, an untrusted certificate or an absent server; None for any other error."""
    import httpx

    for cause in _causes(error):
        server = os.environ.get(URL) or "the address of the active Prefect profile"
        status = _status(cause)
        if status == 401:
            given = "does not accept" if os.environ.get(AUTH) else "asks for"
            return (
                f"the Prefect server at {server} {given} {AUTH}: set it to the server's PREFECT_SERVER_API_AUTH_STRING"
            )
        if status == 403:
            return f"the Prefect server at {server} forbids this (403): ask who runs it, or change {URL}"
        if isinstance(cause, httpx.ConnectError) and "CERTIFICATE_VERIFY_FAILED" in str(cause):
            return (
                f"the certificate of the Prefect server at {server} is not trusted: set PREFECT_API_SSL_CERT_FILE to "
                f"the certificate of the authority that signed it ({cause})"
            )
        if isinstance(cause, (httpx.ConnectError, httpx.ConnectTimeout)) or "Failed to reach API at" in str(cause):
            detail = f" ({cause})" if isinstance(cause, httpx.HTTPError) else ""
            return f"the Prefect server at {server} does not answer{detail}: `plumbline up` starts one; or change {URL}"
    return None


def _status(error: BaseException) -> int | None:
    """HTTP status that Prefect's server answered with; another server's is not ours to explain."""
    response = getattr(error, "response", None)
    return response.status_code if type(error).__name__ == "PrefectHTTPStatusError" and response is not None else None


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The root cause first, so that an untrusted certificate is not called an absent server."""
    chain, current = [], error
    while current is not None and current not in chain:
        chain.append(current)
        current = current.__cause__ or current.__context__  # type: ignore[assignment]
    yield from reversed(chain)
