"""What stands before every page: foreign hosts and big bodies are refused, and the headers that browsers obey."""

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

BIGGEST = 64 * 1024  # bytes of a form
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class Guard:
    """ASGI middleware. hosts: values of the Host header that are ours; a rebound DNS name is none of them."""

    def __init__(self, app: ASGIApp, hosts: frozenset[str]) -> None:
        self.app, self.hosts = app, hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        length = headers.get("content-length", "0")
        # Looked at now: what is mounted inside changes the scope
        still = scope["path"].removeprefix(scope.get("root_path", "")).startswith("/static/")

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                answer = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    answer[name] = value
                if not still:
                    answer["Cache-Control"] = "no-store"
            await send(message)

        if headers.get("host", "").lower() not in self.hosts:
            await PlainTextResponse("this page is not served under that name\n", 400)(scope, receive, guarded)
        elif scope["method"] == "POST" and not (length.isascii() and length.isdigit() and 0 < int(length) <= BIGGEST):
            await PlainTextResponse(f"a form of at most {BIGGEST} bytes, please\n", 413)(scope, receive, guarded)
        else:
            await self.app(scope, receive, guarded)
