"""Who is who on the ranking page: login and CSRF tokens, all derived from one secret file that only its owner reads."""

import hashlib
import hmac
import os
import secrets
from pathlib import Path

NAME = "page.secret"


class Tokens:
    """Tokens of the annotators of one desk. The same annotator has the same link until the secret is deleted."""

    def __init__(self, secret: bytes, annotators: list[str]) -> None:
        self.secret = secret
        self.annotators = annotators

    def login(self, annotator: str) -> str:
        return self._token("login", annotator)

    def form(self, annotator: str) -> str:
        """The CSRF token of an annotator's forms."""
        return self._token("form", annotator)

    def who(self, token: str) -> str | None:
        """The annotator of a login token; None when it is nobody's."""
        found = None
        for name in self.annotators:  # all of them, so that the time taken tells nothing
            if hmac.compare_digest(self.login(name).encode(), token.encode()):
                found = name
        return found

    def sound(self, annotator: str, token: str) -> bool:
        """Whether a form was given out to this annotator."""
        return hmac.compare_digest(self.form(annotator).encode(), token.encode())

    def _token(self, use: str, annotator: str) -> str:
        return hmac.new(self.secret, f"{use}:{annotator}".encode(), hashlib.sha256).hexdigest()[:40]


def read_secret(folder: Path) -> bytes:
    """The secret of a desk; made on first use, readable by its owner only."""
    file = folder / NAME
    if not file.exists():
        new = file.with_name(f"{NAME}.{os.getpid()}.new")
        new.touch(mode=0o600)
        new.write_text(secrets.token_hex(32), encoding="ascii")
        try:
            os.link(new, file)  # of two that begin at once, one wins
        except FileExistsError:
            pass
        finally:
            new.unlink()
    return bytes.fromhex(file.read_text(encoding="ascii"))
