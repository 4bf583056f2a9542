"""Letters over a real SMTP server on loopback: sent once, tried again, given up, and what they say."""

from __future__ import annotations

import asyncio
import email
import email.policy
import re
import socket
import ssl
import subprocess
import sys
import threading
from contextlib import closing
from dataclasses import asdict, dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
import trustme
from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword
from hypothesis import given
from hypothesis import strategies as st

from stream.core.calendar import Period
from stream.core.facts import SECOND
from stream.core.shares import MET, MISSED, NEIGHBOURHOOD, NOT_PROVEN, Figures
from stream.core.summaries.model import Basis, Crewed, OfficerSummary, Past, Said, Summary
from stream.pipeline.mail import (
    FIRST_PAUSE,
    GIVE_UP,
    LAST_PAUSE,
    Mailing,
    compose,
    deliver,
    link,
    pause,
    read_mailing,
    subject,
    text,
)
from stream.reports.pdf import pdf
from stream.settings import Relay, Settings, SettingsError, load, relay, weekly_at
from stream.store import reports
from stream.store.outbox import FAILED, QUEUED, SENT, Letter
from stream.store.schema import connect, migrate
from tests.shell.stored import OutboxLetter, outbox_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from email.message import EmailMessage

    from stream.store.schema import Connection

WEEK = Period.week("2026-W03")
NOW = WEEK.end + 6 * 3600 * SECOND
HOUR = 3600 * SECOND
A, B = "sgt.abbey@force.example", "insp@force.example"

pytestmark = pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS:UserWarning")


# ── A summary, and a database with its letters ────────────────────────────────────────────────────────────


def figures(**times: Any) -> Figures:
    """The neighbourhood's figure of the week."""
    return Figures(NEIGHBOURHOOD, "E05001784", WEEK.start, WEEK.end, **times)


def summary(area_id: str = "E05001784", **times: int) -> Summary:
    """A summary with an officer in it, who must not be named in a letter."""
    found = replace(figures(**(times or {"on_patch": 33 * HOUR, "off_patch": 7 * HOUR})), id=area_id)
    return Summary(
        period="week",
        name=WEEK.name,
        start=WEEK.start,
        end=WEEK.end,
        area_id=area_id,
        area_name="Abbey & Castle",
        figures=found,
        past=(
            Past(name="2026-W02", figures=replace(found, on_patch=1, off_patch=3), target=0.8),
            Past(name=WEEK.name, figures=found, target=0.8),
        ),
        hours=(),
        areas=(),
        away=(),
        crewed=Crewed(),
        officers=(
            OfficerSummary(
                officer_id="O-4711",
                name="PC Nameless",
                role="npt",
                figures=found,
                team="NT1",
                team_months=3,
                team_at_least=False,
                duties=(),
            ),
        ),
        teams=(),
        said=Said(costs=("7 h in Westcotes (PC Nameless)",)),
        basis=Basis(
            target=0.8,
            policy={},
            policy_from=None,
            policy_sha256="-",
            boundaries=(),
            as_of=WEEK.end - 1,
            until=WEEK.end,
        ),
    )


MAILING = Mailing(
    "Patrol <patrol@force.example>", "", attach=False, recipients={"E05001784": (A, B), "N2": (B,)}
)


@dataclass
class Post:
    """A database with letters, the clock, and how they are sent."""

    connection: Connection
    settings: Settings
    now: int = NOW
    timeout_s: float = 20.0

    def publish(self, *summaries: Summary) -> None:
        """Publishes reports with their letters."""
        reports.publish(
            self.connection,
            summaries or (summary(),),
            by="test",
            now=self.now,
            letters=read_mailing(self.settings.mail).letters,
        )

    def deliver(self) -> tuple[int, int, int]:
        """A round of the outbox: sent, failed, postponed."""
        done = deliver(self.connection, self.settings, wall=lambda: self.now, timeout_s=self.timeout_s)
        return done.sent, done.failed, done.postponed

    def rows(self) -> list[OutboxLetter]:
        """The outbox."""
        return outbox_rows(self.connection)

    def states(self) -> dict[str, str]:
        """State by recipient."""
        return {item.recipient: item.state for item in self.rows()}


# ── A mail server ─────────────────────────────────────────────────────────────────────────────────────────


@dataclass
class Office:
    """What the server does with letters, and what it took; a handler of aiosmtpd.

    Attributes:
        answers: what it says to the next recipients, first come first served, before it says yes.
        endings: what it says to the next letters; an empty text: it breaks the line off, the letter kept.
    """

    answers: list[str] = field(default_factory=list)
    endings: list[str] = field(default_factory=list)
    taken: list[tuple[str, bytes]] = field(default_factory=list)
    users: list[bytes] = field(default_factory=list)
    encrypted: list[bool] = field(default_factory=list)
    held: threading.Event | None = None
    arrived: threading.Event = field(default_factory=threading.Event)

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self, server: SMTP, session: Any, envelope: Any, address: str, options: Any
    ) -> str:
        """Says yes or no to a recipient."""
        if self.answers and (answer := self.answers.pop(0)):
            return answer
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Any, envelope: Any) -> str:  # noqa: N802
        """Takes a letter."""
        self.arrived.set()
        if self.held is not None:
            await asyncio.get_running_loop().run_in_executor(None, self.held.wait)
        ending = self.endings.pop(0) if self.endings else "250 OK"
        self.encrypted.append(session.ssl is not None)
        if ending.startswith("250") or not ending:
            self.taken.append((envelope.rcpt_tos[0], envelope.content))
        if not ending:
            assert isinstance(server.transport, asyncio.WriteTransport)
            server.transport.abort()
        return ending or "250 OK"

    def check(self, server: SMTP, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
        """Lets in whoever has the password."""
        assert isinstance(data, LoginPassword)
        self.users.append(data.login)
        return AuthResult(success=data.password == b"sesame: 1@2", handled=False)

    def letters(self) -> list[EmailMessage]:
        """The letters taken."""
        return [email.message_from_bytes(content, policy=email.policy.default) for _, content in self.taken]


class Server:
    """An SMTP server on a free port of loopback, in a thread of its own.

    Args:
        office: what it does.
        wrap: TLS from the first byte.
        details: for aiosmtpd's ``SMTP``.
    """

    def __init__(self, office: Office, port: int = 0, wrap: ssl.SSLContext | None = None, **details: Any):
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self._server = asyncio.run_coroutine_threadsafe(
            self._begin(office, port, wrap, details), self._loop
        ).result()
        self.port = int(self._server.sockets[0].getsockname()[1])

    async def _begin(
        self, office: Office, port: int, wrap: ssl.SSLContext | None, details: dict[str, Any]
    ) -> asyncio.Server:
        loop = asyncio.get_running_loop()
        return await loop.create_server(
            lambda: SMTP(office, hostname="localhost", loop=loop, **details), "127.0.0.1", port, ssl=wrap
        )

    async def _end(self) -> None:
        self._server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await asyncio.sleep(0)

    def close(self) -> None:
        """Ends it."""
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.run_until_complete(self._loop.shutdown_default_executor())
        self._loop.close()


@pytest.fixture
def office() -> Office:
    """What the server does."""
    return Office()


@pytest.fixture
def server(office: Office) -> Iterator[Server]:
    """A server without TLS or login."""
    with closing(Server(office)) as made:
        yield made


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    """Who vouches for the server."""
    return trustme.CA()


@pytest.fixture
def tls(authority: trustme.CA) -> ssl.SSLContext:
    """The server's side of TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost", "127.0.0.1").configure_cert(context)
    return context


@pytest.fixture
def trusted(authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes the authority one that this machine trusts."""
    file = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(file))
    monkeypatch.setenv("SSL_CERT_FILE", str(file))


MAIL_FILE = f"""
from = "Patrol <patrol@force.example>"
reply_to = "desk@force.example"
[recipients]
E05001784 = ["{A}", "{B}"]
"""


@pytest.fixture
def make(database: str, tmp_path: Path) -> Iterator[Callable[[str], Post]]:
    """Makes a database with letters for a mail server's address."""
    file = tmp_path / "mail.toml"
    file.write_text(MAIL_FILE)
    with connect(database) as connection:
        migrate(connection)

        def made(address: str) -> Post:
            settings = Settings(
                database=database, smtp=address, mail=str(file), page="https://patrol.example"
            )
            return Post(connection, settings)

        yield made


@pytest.fixture
def post(make: Callable[[str], Post], server: Server) -> Post:
    """Letters for a server without TLS."""
    return make(f"smtp://127.0.0.1:{server.port}?tls=no")


# ── Sent once ─────────────────────────────────────────────────────────────────────────────────────────────


def test_each_letter_is_sent_once(post: Post, office: Office) -> None:
    """Every recipient gets the report's letter once, however often the outbox is gone through."""
    post.publish()
    assert post.deliver() == (2, 0, 0)
    assert post.deliver() == (0, 0, 0)
    assert sorted(who for who, _ in office.taken) == [B, A]
    assert {item.state for item in post.rows()} == {SENT}
    assert len({letter["Message-ID"] for letter in office.letters()}) == 2
    assert sorted(str(letter["Message-ID"]) for letter in office.letters()) == sorted(
        item.message_id for item in post.rows()
    )


def test_what_was_queued_is_what_arrives(post: Post, office: Office) -> None:
    """A letter arrives with its subject, its words and the headers that mail servers and people look at."""
    post.publish()
    post.deliver()
    letter = office.letters()[0]
    assert letter["Subject"] == "Abbey & Castle, week 2026-W03: 82.5% on patch, target of 80% met"
    assert letter["From"] == "Patrol <patrol@force.example>"
    assert letter["To"] in {A, B}
    assert letter["Reply-To"] == "desk@force.example"
    assert letter["Date"] == "Mon, 19 Jan 2026 06:00:00 +0000"
    assert letter["Auto-Submitted"] == "auto-generated"
    body = letter.get_body(("plain",))
    assert body is not None
    assert "82.5% of the officers' duty time was visibly on patch: 33 h of 40 h." in body.get_content()
    assert "https://patrol.example/weeks/2026-W03/E05001784" in body.get_content()


def test_two_programs_at_once_send_each_letter_once(
    make: Callable[[str], Post], server: Server, office: Office
) -> None:
    """A letter that one program is sending is passed over by another."""
    post = make(f"smtp://127.0.0.1:{server.port}?tls=no")
    post.publish()
    office.held = threading.Event()
    found: list[tuple[int, int, int]] = []
    with connect(post.settings.database) as connection:
        other = Post(connection, post.settings)
        thread = threading.Thread(target=lambda: found.append(other.deliver()))
        thread.start()
        assert office.arrived.wait(60)
        # One letter is under way and waits; the other is ours, and the server takes it when both may go on.
        ours = threading.Thread(target=lambda: found.append(post.deliver()))
        ours.start()
        office.held.set()
        thread.join()
        ours.join()
    assert sum(sent for sent, _, _ in found) == 2
    assert sorted(who for who, _ in office.taken) == [B, A]


def test_a_letter_under_way_is_finished_before_the_process_ends(post: Post, office: Office) -> None:
    """Told to end while it sends a letter, the process sees that one through, and leaves the rest waiting."""
    post.publish()
    office.held = threading.Event()
    process = subprocess.Popen([sys.executable, "-m", "stream.pipeline.weekly"], stdin=subprocess.PIPE)
    assert process.stdin is not None
    process.stdin.write(msgspec.json.encode(asdict(post.settings)))
    process.stdin.close()
    assert office.arrived.wait(60)
    process.terminate()
    office.held.set()
    assert process.wait() == 0
    assert sorted(item.state for item in post.rows()) == [QUEUED, SENT]
    assert post.deliver() == (1, 0, 0)
    assert sorted(who for who, _ in office.taken) == [B, A]


def test_starttls_and_login(
    make: Callable[[str], Post], office: Office, tls: ssl.SSLContext, trusted: None
) -> None:
    """A letter goes over STARTTLS after a login, by default."""
    with closing(
        Server(office, tls_context=tls, require_starttls=True, auth_required=True, authenticator=office.check)
    ) as server:
        post = make(f"smtp://user%40force:sesame%3A%201%402@localhost:{server.port}")
        post.publish()
        assert post.deliver() == (2, 0, 0)
    assert office.users == [b"user@force"]
    assert office.encrypted == [True, True]


def test_tls_from_the_first_byte(
    make: Callable[[str], Post], office: Office, tls: ssl.SSLContext, trusted: None
) -> None:
    """``smtps`` speaks TLS from the first byte."""
    with closing(Server(office, wrap=tls)) as server:
        post = make(f"smtps://localhost:{server.port}")
        post.publish()
        assert post.deliver() == (2, 0, 0)


def test_nothing_is_sent_in_clear_text_unless_that_is_asked_for(post: Post, office: Office) -> None:
    """A server that offers no STARTTLS gets no letter; they wait, and the reason is on record."""
    post.settings = replace(post.settings, smtp=post.settings.smtp.removesuffix("?tls=no"))
    post.publish()
    assert post.deliver() == (0, 0, 2)
    assert office.taken == []
    assert all("STARTTLS extension not supported" in str(item.last_error) for item in post.rows())


def test_a_server_that_nobody_vouches_for_gets_nothing(
    make: Callable[[str], Post], office: Office, tls: ssl.SSLContext
) -> None:
    """A certificate that is not trusted ends the conversation before any password or letter is sent."""
    with closing(Server(office, tls_context=tls, authenticator=office.check)) as server:
        post = make(f"smtp://user:word@localhost:{server.port}")
        post.publish()
        assert post.deliver() == (0, 0, 2)
    assert (office.users, office.taken) == ([], [])
    assert all("certificate verify failed" in str(item.last_error) for item in post.rows())


def test_a_wrong_password_fails_no_letter(
    make: Callable[[str], Post], office: Office, tls: ssl.SSLContext, trusted: None
) -> None:
    """With a wrong password letters wait until it is mended; it stands in no record."""
    with closing(Server(office, tls_context=tls, authenticator=office.check)) as server:
        post = make(f"smtp://user:wrong-word@localhost:{server.port}")
        post.publish()
        assert post.deliver() == (0, 0, 2)
        post.settings = replace(post.settings, smtp=f"smtp://user:sesame%3A%201%402@localhost:{server.port}")
        assert all(
            "535" in str(item.last_error) and "wrong-word" not in str(item.last_error) for item in post.rows()
        )
        post.now += FIRST_PAUSE
        assert post.deliver() == (2, 0, 0)


# ── Tried again, refused, given up ────────────────────────────────────────────────────────────────────────


def test_greylisting_is_waited_for(post: Post, office: Office) -> None:
    """A recipient that the server wants to see again later has the letter later; the others have it now."""
    office.answers = ["451 4.7.1 Greylisted, please try again"]
    post.publish()
    assert post.deliver() == (1, 0, 1)
    [waits] = [item for item in post.rows() if item.state == QUEUED]
    assert waits.last_error == "the recipient was refused: 451 4.7.1 Greylisted, please try again"
    assert (waits.attempts, waits.next_try) == (1, NOW + FIRST_PAUSE)
    post.now += FIRST_PAUSE - 1
    assert post.deliver() == (0, 0, 0)
    post.now += 1
    assert post.deliver() == (1, 0, 0)
    assert sorted(who for who, _ in office.taken) == [B, A]


@pytest.mark.parametrize("where", ["recipient", "letter"])
def test_a_refusal_for_good_fails_with_its_reason(post: Post, office: Office, where: str) -> None:
    """What the server refuses with 5xx is not tried again, and its reason is on record; the rest is sent."""
    if where == "recipient":
        office.answers = ["550 5.1.1 No such user"]
    else:
        office.endings = ["550 5.1.1 No such user"]
    post.publish()
    assert post.deliver() == (1, 1, 0)
    [failed] = [item for item in post.rows() if item.state == FAILED]
    assert failed.last_error == f"the {where} was refused: 550 5.1.1 No such user"
    assert failed.settled_at == NOW
    post.now += GIVE_UP
    assert post.deliver() == (0, 0, 0)


def test_a_letter_refused_for_now_at_its_end_is_sent_later(post: Post, office: Office) -> None:
    """A 452 to the letter itself is tried again, on the same connection's next round."""
    office.endings = ["452 4.3.1 Insufficient system storage"]
    post.publish()
    assert post.deliver() == (1, 0, 1)
    post.now += FIRST_PAUSE
    assert post.deliver() == (1, 0, 0)


def test_a_line_that_breaks_after_the_letter_sends_it_again_as_the_same_letter(
    post: Post, office: Office
) -> None:
    """Where nobody can know whether the server has it, the letter comes again: same bytes, same id."""
    office.endings = [""]
    post.publish()
    assert post.deliver() == (0, 0, 2)
    assert [item.state for item in post.rows()] == [QUEUED, QUEUED]
    post.now += FIRST_PAUSE
    assert post.deliver() == (2, 0, 0)
    (first, content), *others = office.taken
    assert [again for who, again in others if who == first] == [content]
    assert len({letter["Message-ID"] for letter in office.letters()}) == 2


def test_a_server_that_says_it_closes_is_tried_again_as_a_whole(post: Post, office: Office) -> None:
    """After a 421 no letter is tried on that line any more; all of them come when their time comes."""
    office.answers = ["421 4.3.2 Shutting down"]
    post.publish()
    assert post.deliver() == (0, 0, 2)
    post.now += FIRST_PAUSE
    assert post.deliver() == (2, 0, 0)


def test_a_server_that_is_away_and_comes_back(make: Callable[[str], Post], office: Office) -> None:
    """While the server is away letters wait with growing pauses; when it is back, they are sent."""
    with closing(socket.socket()) as reserved:
        reserved.bind(("127.0.0.1", 0))
        port = reserved.getsockname()[1]
    post = make(f"smtp://127.0.0.1:{port}?tls=no")
    post.publish()
    rests = []
    for _ in range(5):
        assert post.deliver() == (0, 0, 2)
        [until] = {item.next_try for item in post.rows()}
        rests.append(until - post.now)
        post.now = until
    assert rests == [FIRST_PAUSE * 2**at for at in range(5)]
    assert all("Connection refused" in str(item.last_error) for item in post.rows())
    with closing(Server(office, port=port)):
        assert post.deliver() == (2, 0, 0)


def test_a_letter_is_given_up_after_days_in_vain(post: Post, office: Office) -> None:
    """What could not be sent for days is failed with the last reason; what was never tried is tried first."""
    post.publish()
    post.now += GIVE_UP + 1
    office.answers = ["451 4.2.2 Mailbox full", "451 4.2.2 Mailbox full"]
    assert post.deliver() == (0, 2, 2)
    assert {item.last_error for item in post.rows()} == {
        "given up: the recipient was refused: 451 4.2.2 Mailbox full"
    }
    assert set(post.states().values()) == {FAILED}


def test_a_silent_server_is_not_waited_for_for_ever(make: Callable[[str], Post]) -> None:
    """A server that takes the connection and says nothing counts as away."""
    with closing(socket.create_server(("127.0.0.1", 0))) as silent:
        post = make(f"smtp://127.0.0.1:{silent.getsockname()[1]}?tls=no")
        post.timeout_s = 0.2
        post.publish()
        assert post.deliver() == (0, 0, 2)
        assert all("timed out" in str(item.last_error) for item in post.rows())


def test_a_report_that_cannot_be_read_keeps_no_other_back(post: Post, office: Office) -> None:
    """A document of another form fails its own letter with what to do; others are sent."""
    post.publish(summary("N2"), summary())
    post.connection.execute("alter table report disable trigger report_stands")
    post.connection.execute("update report set document = '{}' where area_id = 'E05001784'")
    file = read_mailing(post.settings.mail)
    assert file.recipients.keys() == {"E05001784"}
    assert post.deliver() == (0, 2, 0)
    assert all(str(item.last_error).endswith("publish it again") for item in post.rows())
    assert office.taken == []


def test_a_correction_says_what_the_number_before_said(post: Post, office: Office) -> None:
    """The letter with the next number is marked as corrected and says the share before and after."""
    post.publish(summary(on_patch=33 * HOUR, off_patch=7 * HOUR, ambiguous_on=HOUR))
    post.deliver()
    post.publish(summary(on_patch=31 * HOUR, off_patch=9 * HOUR))
    assert post.deliver() == (2, 0, 0)
    letter = office.letters()[-1]
    assert letter["Subject"] == (
        "Corrected: Abbey & Castle, week 2026-W03: 77.5% on patch, target of 80% missed"
    )
    body = letter.get_body(("plain",))
    assert body is not None
    said = " ".join(body.get_content().split())
    assert "This is number 2 of this report: later facts changed what number 1 said." in said
    assert "It said: 82.5% on patch (80.0% to 82.5%), target met." in said


@pytest.mark.parametrize("attempts", range(1, 40))
def test_pauses_grow_to_an_hour(attempts: int) -> None:
    """Pauses double from a minute and never exceed an hour."""
    assert pause(attempts) == min(FIRST_PAUSE * 2 ** (attempts - 1), LAST_PAUSE)


# ── What they say ─────────────────────────────────────────────────────────────────────────────────────────

TIMES = st.integers(0, 60 * HOUR)


@st.composite
def any_figures(draw: st.DrawFn) -> Figures:
    """Any figures, ambiguous parts within what they are parts of."""
    on, off = draw(TIMES), draw(TIMES)
    return figures(
        on_patch=on,
        off_patch=off,
        not_visible=draw(TIMES),
        unknown=draw(st.one_of(st.just(0), TIMES)),
        on_break=draw(TIMES),
        ambiguous_on=draw(st.integers(0, on)),
        ambiguous_off=draw(st.integers(0, off)),
    )


@given(any_figures(), st.sampled_from([0.8, 0.85, 0.825]))
def test_a_letter_never_says_more_than_the_figure(found: Figures, target: float) -> None:
    """Share and bounds are never on the wrong side of the target, and the verdict is the figure's own."""
    base = summary()
    told = replace(base, figures=found, basis=replace(base.basis, target=target))
    body = text(told, None, MAILING, page="", number=1, published_at=NOW)
    title = subject(told)
    if not found.duty:
        assert "nobody had duty time" in title
        assert "%" not in title
        return
    if found.duty == found.unknown:
        assert title.endswith("no position known in any of the duty time, so no share")
        assert "There is no share: no position known" in body
        assert "%" not in title
        return
    verdict = found.verdict(target)
    assert ("cannot say whether" in title) == (verdict == NOT_PROVEN)
    assert title.endswith(" was met" if verdict == NOT_PROVEN else f" {verdict}")
    match = re.search(r"([\d.]+)% on patch", title)
    assert match is not None
    aim = Fraction(repr(target))
    said = Fraction(match[1]) / 100
    assert (said >= aim) == (Fraction(found.on_patch, found.duty) >= aim)
    bounds = re.search(r"the share was certainly between ([\d.]+)% and ([\d.]+)%\.", body)
    low, high = (Fraction(bounds[1]) / 100, Fraction(bounds[2]) / 100) if bounds else (said, said)
    assert (bounds is None) == ("missing: that makes no difference here." in body)
    assert low <= said <= high
    assert {MET: low >= aim, MISSED: high < aim, NOT_PROVEN: low < aim <= high}[str(verdict)]
    assert ("was met," in body, "was missed," in body, "cannot say whether" in body.lower()) == tuple(
        verdict == item for item in (MET, MISSED, NOT_PROVEN)
    )


@given(any_figures(), st.booleans())
def test_minutes_add_up_to_the_duty_time_said(found: Figures, page: bool) -> None:
    """The minutes of the parts add up to the duty time; the time on patch is said alike in both places."""
    if not found.duty:
        return
    body = text(
        replace(summary(), figures=found), None, MAILING, page="https://x" * page, number=1, published_at=NOW
    )

    def minutes(words: str) -> int:
        match = re.fullmatch(r"(?:(\d+) h)? ?(?:(\d+) min)?|under a minute", words.strip())
        assert match is not None, words
        return 60 * int(match[1] or 0) + int(match[2] or 0)

    parts = {
        name: minutes(said)
        for name, said in re.findall(
            r"^  (on patch|off patch|not visible|position unknown) +(.+)$", body, re.M
        )
    }
    total = re.search(r"visibly on patch: (.+) of (.+)\.", body)
    assert total is not None
    assert sum(parts.values()) == minutes(total[2])
    assert parts.get("on patch", 0) == minutes(total[1])


@pytest.mark.parametrize("attach", [False, True])
def test_no_letter_names_an_officer(attach: bool) -> None:
    """Neither subject nor words hold an officer's name or id, nor where officers went."""
    found = summary()
    body = text(found, None, replace(MAILING, attach=attach), page="https://x", number=1, published_at=NOW)
    for word in ("Nameless", "O-4711", "Westcotes", "NT1"):
        assert word not in body
        assert word not in subject(found)


def test_the_report_goes_along_only_where_the_file_says_so() -> None:
    """By default there is a link and nothing attached; with ``attach`` the PDF, named by week and number."""
    letter = Letter(A, "<1@force.example>")
    plain = compose(letter, summary(), None, MAILING, page="https://x/", number=1, published_at=NOW)
    assert list(plain.iter_attachments()) == []
    assert link("https://x/", summary()) in plain.get_content()
    sent = [
        compose(
            letter,
            summary(),
            None,
            replace(MAILING, attach=True),
            page="https://x",
            number=2,
            published_at=NOW,
        )
        for _ in range(2)
    ]
    [part] = sent[0].iter_attachments()
    assert part.get_filename() == "patrol-2026-W03-E05001784-2.pdf"
    assert part.get_content().startswith(b"%PDF-")
    assert sent[0].as_bytes() == sent[1].as_bytes()
    body = sent[0].get_body(("plain",))
    assert body is not None
    assert "It names officers" in body.get_content()
    assert "https://x" not in body.get_content()


def test_an_attachment_arrives_whole(post: Post, office: Office) -> None:
    """With ``attach`` the PDF that arrives is the one that the report makes, byte for byte."""
    file = Path(post.settings.mail)
    file.write_text("attach = true\n" + file.read_text())
    post.publish()
    assert post.deliver() == (2, 0, 0)
    for letter in office.letters():
        [part] = letter.iter_attachments()
        assert part.get_content() == pdf(summary())


def test_a_name_with_a_line_break_makes_no_header() -> None:
    """What a boundary file calls a neighbourhood cannot add a header to a letter."""
    found = replace(summary(), area_name="Abbey\r\nBcc: all@force.example")
    letter = compose(Letter(A, "<1@x>"), found, None, MAILING, page="", number=1, published_at=NOW)
    assert letter["Bcc"] is None
    assert letter["Subject"].startswith("Abbey Bcc: all@force.example, week")


# ── Settings ──────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("address", "found"),
    [
        ("smtp://mail.example", Relay("mail.example", 587)),
        ("smtp://u:p%40w@mail.example:25", Relay("mail.example", 25, "starttls", "u", "p@w")),
        ("smtps://mail.example", Relay("mail.example", 465, "tls")),
        ("smtp://localhost:25?tls=no", Relay("localhost", 25, "plain")),
        ("smtp://[::1]:2525/?tls=no", Relay("::1", 2525, "plain")),
    ],
)
def test_a_mail_server_s_address(address: str, found: Relay) -> None:
    """Scheme, login, host, port and TLS are read from the address."""
    assert relay(address) == found
    assert "p@w" not in repr(found)


@pytest.mark.parametrize(
    "address",
    [
        "u:hidden@m:25",
        "http://u:hidden@m",
        "smtp://u:hidden@",
        "smtp://u:hidden@m:x1",
        "smtp://u:hidden@m/box",
        "smtp://u:hidden@m?starttls=no",
        "smtp://u:hidden@[m",
    ],
)
def test_what_is_no_mail_server_is_refused_without_its_password(address: str) -> None:
    """An address that is none is refused with the form to write; it is not repeated."""
    with pytest.raises(SettingsError, match="PATROL_SMTP is not smtp://user:password@host:587") as caught:
        load({"PATROL_SMTP": address, "PATROL_MAIL": "mail.toml"})
    assert "hidden" not in str(caught.value)


def test_a_password_is_never_sent_without_tls() -> None:
    """A login without TLS is refused as a setting."""
    with pytest.raises(SettingsError, match="a password is not sent without TLS"):
        relay("smtp://u:p@localhost?tls=no")


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({"PATROL_SMTP": "smtp://m"}, "PATROL_MAIL is not set, and mail needs it: a TOML file"),
        ({"PATROL_MAIL": "m.toml"}, "PATROL_SMTP is not set, and mail needs it: the mail server"),
        ({"PATROL_REPORT_AT": "Monday 6am"}, "PATROL_REPORT_AT='Monday 6am': write it like Mon 06:00"),
        ({"PATROL_REPORT_AT": "Mon 24:00"}, "PATROL_REPORT_AT='Mon 24:00'"),
        ({"PATROL_REPORT_WEEKS": "0"}, "PATROL_REPORT_WEEKS must be above 0"),
        ({"PATROL_PAGE": "patrol.example"}, "PATROL_PAGE='patrol.example' is not an address"),
    ],
)
def test_nonsense_is_refused(environment: dict[str, str], message: str) -> None:
    """Half a pair of settings, times that are none and addresses that are none are refused in one line."""
    with pytest.raises(SettingsError) as caught:
        load(environment)
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


def test_a_secret_address_comes_from_a_file(tmp_path: Path) -> None:
    """The mail server's address with its password may stand in a file; settings do not show it."""
    secret = tmp_path / "smtp"
    secret.write_text("smtp://u:hidden@mail.example\n")
    found = load({"PATROL_SMTP_FILE": str(secret), "PATROL_MAIL": "mail.toml"})
    assert relay(found.smtp).password == "hidden"
    assert "hidden" not in repr(found)


@pytest.mark.parametrize("text", ["Mon 06:00", "Sun 23:59", "Wed 00:00"])
def test_when_reports_are_due_is_read(text: str) -> None:
    """Day, hour and minute are what is written."""
    day, hour, minute = weekly_at(text)
    names = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
    assert f"{names[day]} {hour:02d}:{minute:02d}" == text


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("from = 1", "from = 1 must be str"),
        ("", "'' is not an address: write sergeant@force.example"),
        ('from = "a@b"\nform = 2', "unknown 'form'; known: from, reply_to, attach, recipients"),
        ('from = "a@b"\n[recipients]\nN1 = "c@d"', 'recipients: write N1 = ["sergeant@force.example"]'),
        ('from = "a@b"\n[recipients]\nN1 = ["c d@e"]', "'c d@e' is not an address"),
        ('from = "a@b"\n[recipients]\nN1 = ["c@d\\r\\nDATA"]', "is not an address"),
        ('from = "a@b"\n[recipients]\nN1 = ["C <c@d>"]', "'C <c@d>' is not an address"),
        ('from = "a@b"\nattach = "yes"', "attach = 'yes' must be bool"),
        ("from = ", "mail file"),
    ],
)
def test_a_mail_file_with_nonsense_is_refused(tmp_path: Path, content: str, message: str) -> None:
    """A mail file that makes no sense is refused in one line that names it and says what to write."""
    file = tmp_path / "mail.toml"
    file.write_text(content)
    with pytest.raises(SettingsError) as caught:
        read_mailing(str(file))
    assert str(caught.value).startswith(f"mail file {file}: ")
    assert message in str(caught.value)


def test_a_recipient_named_twice_gets_one_letter(tmp_path: Path) -> None:
    """The same address twice for a neighbourhood is one recipient."""
    file = tmp_path / "mail.toml"
    file.write_text(f'from = "a@b"\n[recipients]\nN1 = ["{A}", "{B}", "{A}"]')
    assert read_mailing(str(file)).recipients == {"N1": (A, B)}
