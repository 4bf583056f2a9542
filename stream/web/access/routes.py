"""The pages of signing in: sign-in, one's own account, and the administrator's pages of all accounts.

Forms and links without any program on the page. Whoever may do something is looked at here; what is kept, and
what is refused because it makes no sense, stands in ``stream.store.people``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Request, Response
from markupsafe import Markup

from stream.core.calendar import LOCAL, moment
from stream.core.grants import SCOPED, GrantError, Role, grants_of
from stream.reports.page import environment
from stream.store import passwords, people, record
from stream.store.passwords import PasswordError
from stream.store.people import DAY_S, PeopleError, TooOftenError
from stream.store.record import Kind, Outcome
from stream.web.access.demonstration import CHOICES
from stream.web.access.demonstration import COOKIE as SEE_AS
from stream.web.access.forms import address_of, form_of, own_path, safe_way
from stream.web.access.sign_in import BROWSER_COOKIE, COOKIE, SECRET
from stream.web.access.viewer import viewer_of
from stream.web.problems import ProblemError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from jinja2 import Environment

    from stream.store.people import Session, Signed
    from stream.store.record import Detail
    from stream.store.schema import Connection
    from stream.web.access.forms import Form
    from stream.web.access.sign_in import SignIn
    from stream.web.access.viewer import Viewer

HERE = Path(__file__).parent / "templates"
BROWSER_DAYS = 400
"""So long a browser is remembered as one in which somebody signed in."""
TOKEN_DAYS = (30, 90, 180, 366)
"""What a token's end can be chosen from, days."""

ROLE_WORDS = {
    Role.INSPECTOR: "Inspector: the live picture and the officers of the force, or of some neighbourhoods",
    Role.SERGEANT: "Sergeant: own neighbourhoods and their officers",
    Role.GIS: "GIS officer: areas and boundaries, no persons",
    Role.ANALYST: "Analyst: figures, with pseudonyms in place of officers",
    Role.OFFICER: "Officer: what is held about themselves",
    Role.AUDITOR: "Auditor: the record of who looked at what, no movements",
    Role.ADMINISTRATOR: "Administrator: accounts and tokens, no movements",
    Role.DISPLAY: "Wall display: figures, no names",
    Role.MONITORING: "Monitoring: metrics and health",
}
"""What a role is, for people."""


@dataclass(frozen=True, slots=True)
class Told:
    """What a page says first.

    Attributes:
        text: a sentence.
        wrong: whether something could not be done.
        secret: what is shown this once.
    """

    text: str
    wrong: bool = False
    secret: str = ""


@cache
def _templates() -> Environment:
    found = environment(HERE)
    found.filters["when"] = lambda at: (
        "" if at is None else f"{moment(at).astimezone(LOCAL):%-d %b %Y, %H:%M}"
    )
    return found


def _page(template: str, viewer: Viewer | None = None, *, status: int = 200, **said: Any) -> Response:
    """A page; it may be kept by nobody, and forms on it say where they come from."""
    text = _templates().get_template(f"{template}.html.jinja").render(viewer=viewer, Role=Role, **said)
    headers = {"Cache-Control": "no-store", "Referrer-Policy": "same-origin"}
    return Response(text, status, media_type="text/html", headers=headers)


def _go(to: str) -> Response:
    return Response(status_code=303, headers={"Location": to, "Cache-Control": "no-store"})


def _cookie(response: Response, name: str, value: str, *, days: int | None = None) -> None:
    response.set_cookie(
        name,
        value,
        max_age=None if days is None else days * 86_400,
        path="/",
        secure=True,
        httponly=True,
        samesite="lax",
    )


def _no_cookie(response: Response, name: str) -> None:
    response.set_cookie(name, "", max_age=0, path="/", secure=True, httponly=True, samesite="lax")


def router(
    entrance: SignIn,
    *,
    used: bool,
    more: Callable[[APIRouter, Callable[..., Response]], None],
    leaves: Callable[[Session, str], Awaitable[str | None]] | None = None,
) -> APIRouter:
    """The pages of signing in.

    Args:
        entrance: reads and changes accounts.
        used: whether people sign in at all.
        more: adds the paths of an OpenID provider, which may show the sign-in page.
        leaves: where people sign in at a provider: where a browser goes to sign out there, of a session and
            its secret.
    """
    routes = APIRouter(include_in_schema=False)
    settings = entrance.settings

    def root(request: Request) -> str:
        return str(request.scope.get("root_path", "")).rstrip("/")

    async def change(
        request: Request,
        what: str,
        work: Callable[[Connection], Any],
        *,
        kind: Kind = Kind.ACCOUNT,
        account: str = "",
        **details: Detail,
    ) -> Any:
        """What is done to an account, on record together with it; what was known of anybody is asked anew.

        Args:
            request: who asks, and from where.
            what: as it stands on record.
            work: does it; what gives nothing did nothing, and is not on record.
            kind: of what is done.
            account: who does it; empty: whoever is signed in.
            details: what else is on record.
        """
        entry = _entry(request, kind, what, account, details)

        def done(connection: Connection) -> Any:
            with connection.transaction():
                found = work(connection)
                if isinstance(found, people.Signed):
                    record.add(connection, replace(entry, account=found.account))
                elif found or found is None:
                    record.add(connection, entry)
                return found

        try:
            return await entrance.ask(done)
        finally:
            entrance.forget()

    async def refused(request: Request, account: str | None, why: str) -> None:
        """Puts on record that somebody could not sign in; a name that is no account's may be a password.

        Attempts that were not even made, because too many failed before, are not: they have no end.
        """
        entry = _entry(request, Kind.SIGN_IN, "signed in", account or "-", {"failure": why})
        failed = replace(entry, outcome=Outcome.REFUSED)
        await entrance.ask(lambda connection: record.add(connection, failed))

    # ── Signing in and out ────────────────────────────────────────────────────────────────────────────────

    @routes.get("/sign-in/style.css")
    def style() -> Response:
        return Response(_style(), media_type="text/css", headers={"Cache-Control": "no-cache"})

    @routes.get("/sign-in")
    def sign_in_page(request: Request) -> Response:
        return asked(request, own_path(request.query_params.get("next", "/")))

    def asked(
        request: Request, back: str, told: Told | None = None, name: str = "", status: int = 200
    ) -> Response:
        if not used:
            told = Told("Nobody has to sign in here: PATROL_SIGN_IN is not set.")
        elif told is None and not safe_way(request):
            told = Told("This page was not reached over https: nobody can sign in here.", wrong=True)
        return _page(
            "sign_in", status=status, root=root(request), back=back, told=told, name=name,
            used=used, provider=leaves is not None, title="Sign in", out="out" in request.query_params,
        )  # fmt: skip

    def refuse_unused() -> None:
        if not used:
            raise ProblemError(409, "Conflict", "nobody signs in here: PATROL_SIGN_IN is not set")
        if leaves is not None:
            raise ProblemError(409, "Conflict", "people sign in at their provider: no password is taken here")

    @routes.post("/sign-in")
    async def sign_in(request: Request) -> Response:
        refuse_unused()
        form = await form_of(request)
        back, name = own_path(form.one("next")), form.one("name")
        if not safe_way(request):
            return asked(request, back, status=403)
        address, browser = address_of(request), _browser(request)
        try:
            made = await entrance.ask(
                lambda connection: people.attempt(
                    connection, name, address=address, browser=browser, now=entrance.now()
                )
            )
        except TooOftenError as error:
            found = asked(request, back, Told(_sentence(error), wrong=True), name, 429)
            found.headers["Retry-After"] = str(round(error.wait_s + 0.5))
            return found
        signed: Any = None
        if await entrance.hashing(partial(passwords.same, made.kept, form.one("password"))):
            signed = await change(
                request,
                "signed in",
                lambda connection: (
                    people.succeed(
                        connection,
                        made,
                        address=address,
                        agent=request.headers.get("user-agent", ""),
                        browser=browser,
                        lasts_s=settings.signed_in_s,
                        now=entrance.now(),
                    )
                    or False
                ),
                kind=Kind.SIGN_IN,
                account=made.account or "-",
            )
        if not signed:
            await refused(request, made.account, "wrong password")
            wrong = Told("The name or the password is wrong.", wrong=True)
            return asked(request, back, wrong, name, 403)
        if signed.ticket is not None:
            return choose_page(request, signed.account, signed.ticket, back)
        return await signed_in(request, signed, back)

    def choose_page(
        request: Request, account: str, ticket: str, back: str, told: Told | None = None, status: int = 200
    ) -> Response:
        return _page(
            "choose", status=status, root=root(request), account=account, ticket=ticket, back=back,
            told=told, title="Choose a password",
        )  # fmt: skip

    @routes.post("/sign-in/password")
    async def choose(request: Request) -> Response:
        refuse_unused()
        form = await form_of(request)
        back, ticket, account = own_path(form.one("next")), form.one("ticket"), form.one("account")
        if not safe_way(request):
            return asked(request, back, status=403)
        if not SECRET.fullmatch(ticket):
            return asked(
                request, back, Told("Sign in with the one-time password first.", wrong=True), "", 400
            )
        new = form.one("new")
        if new != form.one("again"):
            differ = Told("The two passwords are not the same.", wrong=True)
            return choose_page(request, account, ticket, back, differ, 400)
        work = partial(
            people.choose, ticket=ticket, password=new, address=address_of(request),
            agent=request.headers.get("user-agent", ""), browser=_browser(request),
            lasts_s=settings.signed_in_s, now=entrance.now(),
        )  # fmt: skip
        try:
            signed = await change(request, "chose a password", work, kind=Kind.SIGN_IN)
        except PasswordError as error:
            return choose_page(request, account, ticket, back, Told(_sentence(error), wrong=True), 400)
        except PeopleError as error:
            return asked(request, back, Told(_sentence(error), wrong=True), "", 400)
        return await signed_in(request, signed, back)

    async def signed_in(request: Request, signed: Signed, back: str) -> Response:
        """The way on, with a new session's cookie; one that the browser had before is ended."""
        before = request.cookies.get(COOKIE, "")
        if SECRET.fullmatch(before):
            await change(
                request,
                "signed out",
                lambda connection: people.close_sessions(connection, digest=passwords.digest(before)),
                kind=Kind.SIGN_IN,
                account=signed.account,
            )
        found = _go(root(request) + back)
        assert signed.session is not None
        _cookie(found, COOKIE, signed.session)
        if signed.browser is not None:
            _cookie(found, BROWSER_COOKIE, signed.browser, days=BROWSER_DAYS)
        return found

    more(routes, asked)

    @routes.post("/sign-out")
    async def sign_out(request: Request) -> Response:
        session, to = _session(request), None
        if leaves is not None:
            to = await leaves(session, request.cookies.get(COOKIE, ""))
        await change(
            request,
            "signed out",
            lambda connection: people.close_sessions(connection, digest=session.digest),
            kind=Kind.SIGN_IN,
        )
        found = _go(to or f"{root(request)}/sign-in?out")
        _no_cookie(found, COOKIE)
        return found

    @routes.post("/see-as")
    async def see_as(request: Request) -> Response:
        if not getattr(request.state, "see_as", ""):
            raise ProblemError(409, "Conflict", "only the demonstration shows the pages as others see them")
        chosen = (await form_of(request)).one("as")
        if chosen not in CHOICES:
            raise ProblemError(400, "InvalidParameterValue", f"as must be one of {', '.join(CHOICES)}")
        found = _go(root(request) + CHOICES[chosen].begin)
        found.set_cookie(SEE_AS, chosen, path="/", httponly=True, samesite="strict")
        return found

    # ── One's own account ─────────────────────────────────────────────────────────────────────────────────

    async def own(request: Request, told: Told | None = None, status: int = 200) -> Response:
        viewer, session = _viewer(request), _session(request)
        now = entrance.now()

        def read(connection: Connection) -> tuple[Any, Any, Any]:
            return (
                people.account(connection, viewer.account, now=now),
                people.sessions(connection, viewer.account, now=now),
                people.tokens(connection, viewer.account),
            )

        account, sessions, tokens = await entrance.ask(read)
        roles = sorted({grant.role for grant in account.grants} - {Role.ADMINISTRATOR})
        return _page(
            "account", viewer, status=status, root=root(request), account=account, sessions=sessions,
            tokens=[item for item in tokens if not item.ended and item.until > now], here=session.digest,
            told=told, title="My account", roles=roles, words=ROLE_WORDS, days=TOKEN_DAYS,
            shortest=passwords.SHORTEST,
        )  # fmt: skip

    @routes.get("/account")
    async def own_account(request: Request) -> Response:
        viewer = _viewer(request)
        if viewer.means == "demonstration":
            chosen = getattr(request.state, "see_as", "")
            return _page(
                "nobody", root=root(request), title="My account", choices=CHOICES, chosen=chosen, out=False
            )
        return await own(request)

    @routes.post("/account/password")
    async def own_password(request: Request) -> Response:
        viewer, session = _viewer(request), _session(request)
        form = await form_of(request)
        new, address = form.one("new"), address_of(request)
        if new != form.one("again"):
            return await own(request, Told("The two new passwords are not the same.", wrong=True), 400)
        try:
            made = await entrance.ask(
                lambda connection: people.attempt(
                    connection, viewer.account, address=address, browser=_browser(request), now=entrance.now()
                )
            )
        except TooOftenError as error:
            return await own(request, Told(_sentence(error), wrong=True), 429)
        kept = await entrance.ask(lambda connection: people.kept_password(connection, viewer.account))
        if (
            not await entrance.hashing(partial(passwords.same, made.kept, form.one("password")))
            or kept is None
        ):
            return await own(request, Told("The present password is wrong.", wrong=True), 403)
        try:
            changed = await change(
                request,
                "changed the password",
                lambda connection: people.change_password(connection, viewer.account, kept, new),
            )
        except PasswordError as error:
            return await own(request, Told(_sentence(error), wrong=True), 400)
        if not changed:
            raise ProblemError(409, "Conflict", "the password was changed meanwhile: sign in again")
        secret = await change(
            request,
            "signed in",
            lambda connection: people.open_session(
                connection,
                viewer.account,
                means=session.means,
                now=entrance.now(),
                lasts_s=settings.signed_in_s,
                address=address,
                agent=request.headers.get("user-agent", ""),
            ),
            kind=Kind.SIGN_IN,
        )
        found = _go(f"{root(request)}/account")
        _cookie(found, COOKIE, secret)
        return found

    @routes.post("/account/sessions/end")
    async def own_sessions(request: Request) -> Response:
        viewer, session = _viewer(request), _session(request)
        which = (await form_of(request)).one("session")

        def end(connection: Connection) -> None:
            for item in people.sessions(connection, viewer.account, now=entrance.now()):
                if item.digest.hex() == which or (which == "others" and item.digest != session.digest):
                    people.close_sessions(connection, digest=item.digest)

        await change(request, "ended sessions", end)
        return _go(f"{root(request)}/account")

    @routes.post("/account/tokens")
    async def own_tokens(request: Request) -> Response:
        viewer, _ = _viewer(request), _session(request)
        form = await form_of(request)
        try:
            token = await change(
                request,
                "made a token",
                lambda connection: _make_token(connection, viewer.account, form, entrance.now()),
                label=form.one("label"),
                roles=form.all("role"),
                days=form.one("days"),
            )
        except (PeopleError, ValueError) as error:
            return await own(request, Told(_sentence(error), wrong=True), 400)
        return await own(request, Told(_token_words(form), secret=token))

    @routes.post("/account/tokens/end")
    async def own_token_ends(request: Request) -> Response:
        viewer, _ = _viewer(request), _session(request)
        which = _number((await form_of(request)).one("token"))
        await change(
            request,
            "ended a token",
            lambda connection: people.end_token(
                connection, which, account=viewer.account, now=entrance.now()
            ),
            token=which,
        )
        return _go(f"{root(request)}/account")

    # ── The administrator's ───────────────────────────────────────────────────────────────────────────────

    async def all_accounts(
        request: Request, told: Told | None = None, status: int = 200, **typed: str
    ) -> Response:
        viewer = _somebody(request)
        found = await entrance.ask(lambda connection: people.accounts(connection, now=entrance.now()))
        return _page(
            "accounts", viewer, status=status, root=root(request), accounts=found, told=told,
            typed={"name": "", "shown": ""} | typed,
            title="Accounts", words=ROLE_WORDS, scoped=SCOPED, held={},
        )  # fmt: skip

    async def one_account(
        request: Request, name: str, told: Told | None = None, status: int = 200
    ) -> Response:
        viewer = _somebody(request)
        now = entrance.now()

        def read(connection: Connection) -> tuple[Any, Any, Any]:
            return (
                people.account(connection, name, now=now),
                people.sessions(connection, name, now=now),
                people.tokens(connection, name),
            )

        try:
            account, sessions, tokens = await entrance.ask(read)
        except PeopleError as error:
            raise ProblemError(404, "NotFound", str(error)) from error
        held = {
            str(grant.role): ", ".join(sorted(grant.neighbourhoods or ())) or grant.officer or ""
            for grant in account.grants
        }
        return _page(
            "one_account", viewer, status=status, root=root(request), account=account, sessions=sessions,
            tokens=[item for item in tokens if not item.ended and item.until > now], told=told,
            title=account.shown, words=ROLE_WORDS, scoped=SCOPED, held=held, own=viewer.account == name,
        )  # fmt: skip

    @routes.get("/accounts")
    async def accounts(request: Request) -> Response:
        return await all_accounts(request)

    @routes.post("/accounts")
    async def add(request: Request) -> Response:
        viewer = _somebody(request)
        form = await form_of(request)
        name, shown = form.one("name"), form.one("shown")
        try:
            grants = grants_of(_roles(form))
            first = await change(
                request,
                "made an account",
                lambda connection: people.add(
                    connection, name, shown or name, grants, by=viewer.account, now=entrance.now()
                ),
                of=name,
                roles=[str(grant) for grant in grants],
            )
        except (PeopleError, GrantError) as error:
            return await all_accounts(
                request, Told(_sentence(error), wrong=True), 400, name=name, shown=shown
            )
        name = people.name_of(name)
        return await one_account(
            request, name, Told(f"One-time password for {name}, good for 3 days:", secret=first)
        )

    @routes.get("/accounts/{name}")
    async def account(request: Request, name: str) -> Response:
        return await one_account(request, name)

    @routes.post("/accounts/{name}/{what}")
    async def changed(request: Request, name: str, what: str) -> Response:
        viewer = _somebody(request)
        form = await form_of(request)
        now = entrance.now()
        if name == viewer.account and what in ("roles", "lock", "password"):
            own_words = (
                "Nobody changes the roles of their own account, locks it, or resets its password here."
            )
            return await one_account(request, name, Told(own_words, wrong=True), 403)
        told: Told | None = None
        try:
            if what == "roles":
                grants = grants_of(_roles(form))
                await change(
                    request,
                    "gave roles",
                    lambda connection: people.set_roles(connection, name, grants),
                    of=name,
                    roles=[str(grant) for grant in grants],
                )
            elif what == "shown":
                await change(
                    request,
                    "changed a shown name",
                    lambda connection: people.set_shown(connection, name, form.one("shown")),
                    of=name,
                )
            elif what == "password":
                first = await change(
                    request,
                    "gave a one-time password",
                    lambda connection: people.reset_password(connection, name, now=now),
                    of=name,
                )
                told = Told(f"One-time password for {name}, good for 3 days:", secret=first)
            elif what == "lock":
                await change(
                    request,
                    "locked an account",
                    lambda connection: people.lock(connection, name, now=now),
                    of=name,
                )
            elif what == "unlock":
                await change(
                    request,
                    "unlocked an account",
                    lambda connection: people.unlock(connection, name),
                    of=name,
                )
            elif what == "sessions":
                await change(
                    request,
                    "ended sessions",
                    lambda connection: people.close_sessions(connection, account=name),
                    of=name,
                )
            elif what == "token":
                which = _number(form.one("token"))
                await change(
                    request,
                    "ended a token",
                    lambda connection: people.end_token(connection, which, account=name, now=now),
                    of=name,
                    token=which,
                )
            else:
                raise ProblemError(404, "NotFound", "there is no such page")
        except (PeopleError, GrantError) as error:
            return await one_account(request, name, Told(_sentence(error), wrong=True), 400)
        if told is not None:
            return await one_account(request, name, told)
        return _go(f"{root(request)}/accounts/{name}")

    return routes


@cache
def _style() -> Markup:
    return Markup((HERE / "style.css").read_text("utf-8"))


def _viewer(request: Request) -> Viewer:
    viewer = viewer_of(request)
    if viewer is None:
        raise ProblemError(401, "SignIn", "sign in first")
    return viewer


def _somebody(request: Request) -> Viewer:
    """Whoever is signed in.

    Raises:
        ProblemError: nobody signs in here, and whoever is at this machine administers no accounts.
    """
    viewer = _viewer(request)
    if viewer.means == "demonstration":
        raise ProblemError(403, "Refused", "nobody signs in here: accounts are made by 'patrol people'")
    return viewer


def _session(request: Request) -> Session:
    """The session of whoever is signed in; these pages are not for programs.

    Raises:
        ProblemError: it is a token, or nobody signs in here.
    """
    found: Session | None = getattr(request.state, "session", None)
    if found is None:
        raise ProblemError(403, "Refused", "this page is for people who have signed in, not for programs")
    return found


def _entry(
    request: Request, kind: Kind, what: str, account: str, details: Mapping[str, Detail]
) -> record.Entry:
    """What goes on record of a request."""
    viewer = viewer_of(request)
    means = "none" if viewer is None else viewer.means
    who = account or ("-" if viewer is None else viewer.account)
    return record.Entry(kind, what, who, means, address_of(request), details=details)


def _browser(request: Request) -> str | None:
    found = request.cookies.get(BROWSER_COOKIE, "")
    return found if SECRET.fullmatch(found) else None


def _roles(form: Form) -> list[str]:
    """The roles that a form has ticked, each with what stands in its field."""
    return [
        f"{role}:{scope}" if (scope := form.one(f"scope_{role}").strip()) else role
        for role in form.all("role")
    ]


def _make_token(connection: Connection, account: str, form: Form, now: int) -> str:
    try:
        roles = {Role(role) for role in form.all("role")}
        days = int(form.one("days") or 0)
    except ValueError:
        raise PeopleError("choose the token's roles and its end") from None
    return people.make_token(connection, account, form.one("label"), roles, now=now, lasts_s=days * DAY_S)


def _token_words(form: Form) -> str:
    label = " ".join(form.one("label").split())
    return f"Token for {label}. Copy it now: it is not shown again."


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0


def _sentence(error: Exception) -> str:
    said = str(error)
    return f"{said[:1].upper()}{said[1:]}."
