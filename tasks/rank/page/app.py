"""The routes of the ranking page. Every answer to a submission is sent after its commit."""

import secrets
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from sqlalchemy.exc import SQLAlchemyError
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from tasks.rank.page.book import Book, Taken
from tasks.rank.page.form import AXES, STEPS, VERDICTS, Refused, fields, read_submission
from tasks.rank.page.guard import Guard
from tasks.rank.page.tokens import Tokens
from tasks.rank.page.words import LANGUAGES, pick, say
from tasks.rank.page.work import choose, complete

STATIC = Path(__file__).parent / "static"
WEEK = 7 * 24 * 3600


@dataclass(frozen=True)
class Page:
    """One desk's page. hosts: what the Host header may say. overlap: annotators a prompt. target: prompts."""

    book: Book
    tokens: Tokens
    hosts: frozenset[str]
    overlap: int = 1
    target: int = 0
    secure: bool = False  # behind TLS: the cookie travels nowhere else
    templates: Environment = field(
        default_factory=lambda: Environment(
            loader=PackageLoader("tasks.rank.page"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
        )
    )

    @property
    def cookie(self) -> str:
        """Pages of two desks share 127.0.0.1, whose cookies know no port."""
        return f"plumbline_rank_{self.book.desk}"

    def app(self) -> Starlette:
        """The ASGI application."""
        routes = [
            Route("/", self.rank),
            Route("/in/{token}", self.enter),
            Route("/submit", self.submit, methods=["POST"]),
            Route("/healthy", self.healthy),
            Mount("/static", StaticFiles(directory=STATIC)),
        ]
        handlers: dict[Any, Any] = {SQLAlchemyError: self.unreachable, OSError: self.unreachable}
        return Starlette(routes=routes, middleware=[Middleware(Guard, hosts=self.hosts)], exception_handlers=handlers)

    async def healthy(self, request: Request) -> Response:
        return JSONResponse({"desk": self.book.desk})

    async def unreachable(self, request: Request, error: Exception) -> Response:
        """The database does not answer: nothing was kept, and the browser tries again."""
        return self.refuse(request, "not_saved", 503)

    async def enter(self, request: Request) -> Response:
        """A login link. It sets the cookie and stays: a cookie of SameSite=Strict would not survive a redirect."""
        token = request.path_params["token"]
        name = self.tokens.who(token)
        if name is None:
            return self.refuse(request, "no_login", 403)
        answer = self.show(request, "welcome.html", name=name)
        answer.set_cookie(
            self.cookie, token, max_age=WEEK * 8, path=root(request) + "/", httponly=True, samesite="strict",
            secure=self.secure,
        )  # fmt: skip
        return answer

    async def rank(self, request: Request) -> Response:
        """What is next, or the item that is asked for: shown to this annotator before."""
        name = self.who(request)
        if name is None:
            return self.refuse(request, "no_login", 401)
        async with self.book.turn:
            standing = await self.book.standing(name)
            asked = request.query_params.get("item")
            if asked is None:
                item = choose(self.book.sheet, standing, self.overlap, self.target)
            elif asked in standing.mine | standing.begun and asked in self.book.sheet:
                item = asked
            else:
                return self.refuse(request, "no_item", 404)
            ordering = await self.book.show(item, name) if item else []
        history = await self.book.history(name)
        numbers = {
            "done": min(complete(self.book.sheet, standing.done, self.overlap), self.target),
            "target": self.target,
            "mine": sum(row.verdict != "skip" for row in history.values()),
        }
        if item is None:
            skipped = [row.item for row in history.values() if row.verdict == "skip"]
            full = numbers["done"] >= self.target
            return self.show(request, "done.html", name=name, full=full, skipped=skipped, **numbers)
        content, before = self.book.sheet[item], history.get(item)
        order = list(history)
        earlier = order[: order.index(item)] if item in order else order
        return self.show(
            request,
            "rank.html",
            name=name,
            item=item,
            prompt=content.prompt,
            cards=[
                {
                    "letter": letter(place),
                    "text": content.candidates[candidate],
                    "rank": before.ranks[candidate] if before and before.verdict == "ranked" else None,
                    "axes": {axis: before.axes.get(axis, {}) and before.axes[axis][candidate] for axis in AXES}
                    if before
                    else dict.fromkeys(AXES),
                }
                for place, candidate in enumerate(ordering)
            ],
            before=before,
            previous=earlier[-1] if earlier else None,
            key=secrets.token_hex(16),
            csrf=self.tokens.form(name),
            steps=STEPS,
            **numbers,
        )

    async def submit(self, request: Request) -> Response:
        """Keep what an annotator says of an item. The same key again is the same submission."""
        name = self.who(request)
        if name is None:
            return self.refuse(request, "no_login", 401)
        try:
            form = fields(await request.body())
        except Refused as problem:
            return self.refuse(request, str(problem), 422)
        if not self.tokens.sound(name, form.get("csrf", "")) or not self.own(request):
            return self.refuse(request, "bad_form", 403)
        item = form.get("item", "")
        if item not in self.book.sheet:
            return self.refuse(request, "no_item", 404)
        ordering = await self.book.show(item, name)
        try:
            submission = read_submission(form, item, name, ordering)
            new = await self.book.submit(submission)
        except Taken:
            return self.refuse(request, "bad_form", 409)
        except Refused as problem:
            missing = [letter(place) for place in range(len(ordering)) if not form.get(f"rank_{place}")]
            return self.refuse(request, str(problem), 422, missing=", ".join(missing))
        if wants_json(request):
            return JSONResponse({"saved": True, "new": new, "next": root(request) + "/"})
        return RedirectResponse(root(request) + "/", 303)

    def own(self, request: Request) -> bool:
        """Whether the browser, if it says so, sends this from our own page."""
        origin = request.headers.get("origin")
        return origin is None or origin.partition("://")[2].lower() in self.hosts

    def who(self, request: Request) -> str | None:
        return self.tokens.who(request.cookies.get(self.cookie, ""))

    def language(self, request: Request) -> str:
        cookie, accepted = request.cookies.get("plumbline_lang"), request.headers.get("accept-language", "")
        return pick(request.query_params.get("lang"), cookie, accepted)

    def show(self, request: Request, template: str, status: int = 200, **values: Any) -> Response:
        language = self.language(request)
        page = self.templates.get_template(template)
        query = {name: value for name, value in request.query_params.items() if name != "lang"}
        text = page.render(
            **values, say=partial(say, language), language=language, languages=LANGUAGES, path=request.url.path,
            query=query, axes_names=AXES, verdicts=VERDICTS, root=root(request),
        )  # fmt: skip
        answer = HTMLResponse(text, status)
        if (chosen := request.query_params.get("lang")) in LANGUAGES:
            answer.set_cookie("plumbline_lang", str(chosen), WEEK * 52, samesite="strict", secure=self.secure)
        return answer

    def refuse(self, request: Request, key: str, status: int, **values: object) -> Response:
        """Say what is wrong: as JSON to the script, as a page to people."""
        values = values if key == "rank_all" else {}
        said = say(self.language(request), key, **values)
        if wants_json(request):
            return JSONResponse({"error": said}, status)
        details = say(self.language(request), "no_login_text") if key == "no_login" else ""
        return self.show(request, "refused.html", status, said=said, details=details)


def letter(place: int) -> str:
    """A, B, … Z, AA, AB, …: what a candidate is called on the page."""
    return (letter(place // 26 - 1) if place >= 26 else "") + chr(ord("A") + place % 26)


def root(request: Request) -> str:
    """What stands before every path of this page; empty when it is alone on its port."""
    return str(request.scope.get("root_path", ""))


def wants_json(request: Request) -> bool:
    return request.headers.get("accept", "").startswith("application/json")
