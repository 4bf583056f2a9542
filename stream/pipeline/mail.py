"""Reports by mail: what a letter says, who gets it, and how it is sent.

A letter is queued in the transaction that publishes its report (``stream.store.outbox``), tried until the
server accepts or refuses it, and settled. It is sent once as far as SMTP can tell: if the server accepted it
and the line broke before the answer, or this program was killed in that instant, it is sent again, under the
same Message-ID and with the same bytes, so that a mail server or reader can recognise the copy.

Letters name no officer and no place but the neighbourhood; the report itself does, so it is attached only if
the file says ``attach = true``. Otherwise there is a link to the page.
"""

from __future__ import annotations

import hashlib
import logging
import re
import smtplib
import ssl
from contextlib import closing
from dataclasses import dataclass
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, formataddr, parseaddr
from fractions import Fraction
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from stream.core.calendar import WEEK, moment
from stream.core.explaining.explanation import exact
from stream.core.explaining.wording import (
    apportion,
    duration,
    moment_words,
    no_share_words,
    percent,
    period_words,
    plain_percent,
)
from stream.core.facts import SECOND
from stream.core.shares import MET, MISSED
from stream.core.summaries.model import FormError, decode
from stream.core.toml import TomlError, toml
from stream.secret_files import current
from stream.settings import STARTTLS, TLS, SettingsError, relay
from stream.store import outbox
from stream.store.outbox import Letter

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from stream.clock import Clock
    from stream.core.shares import Figures
    from stream.core.summaries.model import Summary
    from stream.settings import Relay, Settings
    from stream.store.reports import Entry
    from stream.store.schema import Connection

log = logging.getLogger(__name__)

DAY = 86_400 * SECOND
NEWS = 14 * DAY
"""A first report that is later than this after its period's end is not mailed: it is on the page only."""

FIRST_PAUSE, LAST_PAUSE = 60 * SECOND, 3600 * SECOND
GIVE_UP = 3 * DAY
"""A letter that could not be sent for this long is given up."""

TIMEOUT_S = 60.0


# ── who gets what ─────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Mailing:
    """Who gets which report, as the file says.

    Attributes:
        sender: who the letters are from, ``Patrol <patrol@force.example>``.
        reply_to: where answers go; empty: to the sender.
        attach: whether the report, which names officers, is attached; otherwise there is a link.
        recipients: addresses by neighbourhood.
    """

    sender: str
    reply_to: str
    attach: bool
    recipients: Mapping[str, tuple[str, ...]]

    def letters(self, entry: Entry, before: Entry | None) -> list[Letter]:
        """The letters that go with a report.

        None where there is no news: a first report long after its week, or a letter that would say the same
        as the one before.

        Args:
            entry: the report, just published.
            before: the number before it.
        """
        if entry.kind != WEEK:
            return []
        if before is None and entry.published_at - entry.figures.end > NEWS:
            return []
        if before is not None and _said(entry.figures, entry.target) == _said(before.figures, before.target):
            return []
        domain = parseaddr(self.sender)[1].rpartition("@")[2]
        return [
            Letter(address, f"<{_digest(entry.sha256, entry.period, entry.area_id, address)}@{domain}>")
            for address in self.recipients.get(entry.area_id, ())
        ]


def read_mailing(path: str) -> Mailing:
    """The file that ``PATROL_MAIL`` names.

    Raises:
        SettingsError: it cannot be read or is not valid; the message says where.
    """
    try:
        given = toml(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, TomlError) as error:
        raise SettingsError(f"mail file {path}: {error}") from error
    known: dict[str, Any] = {"from": "", "reply_to": "", "attach": False, "recipients": {}}
    for name, value in given.items():
        if name not in known:
            raise SettingsError(f"mail file {path}: unknown '{name}'; known: {', '.join(known)}")
        if type(value) is not type(known[name]):
            raise SettingsError(f"mail file {path}: {name} = {value!r} must be {type(known[name]).__name__}")
    given = known | given
    if given["attach"] and find_spec("typst") is None:
        raise SettingsError(
            f"mail file {path}: attach = true makes PDFs, for which typst is not installed here: pip install "
            "'patrol-visibility[reports]', use the image patrol-visibility-web, or leave attach out"
        )
    recipients = {}
    for area_id, addresses in given["recipients"].items():
        if not isinstance(addresses, list) or not all(isinstance(item, str) for item in addresses):
            raise SettingsError(f'mail file {path}: recipients: write {area_id} = ["sergeant@force.example"]')
        # The same address twice is one recipient.
        recipients[area_id] = tuple(dict.fromkeys(_address(path, item, bare=True) for item in addresses))
    return Mailing(
        _address(path, given["from"]),
        _address(path, given["reply_to"]) if given["reply_to"] else "",
        given["attach"],
        recipients,
    )


def _address(path: str, text: str, *, bare: bool = False) -> str:
    name, address = ("", text) if bare else parseaddr(text)
    # One plain address, which any mail server accepts.
    good = re.fullmatch(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*", address)
    if not good or re.search(r"[\r\n]", text):
        raise SettingsError(f"mail file {path}: {text!r} is not an address: write sergeant@force.example")
    return formataddr((name, address))


# ── what a letter says ────────────────────────────────────────────────────────────────────────────────────


def compose(
    letter: Letter,
    summary: Summary,
    before: Summary | None,
    mailing: Mailing,
    *,
    page: str,
    number: int,
    published_at: int,
) -> EmailMessage:
    """A report's letter to one recipient: the same arguments, the same bytes.

    Args:
        letter: to whom, and under which Message-ID.
        summary: the report as published.
        before: the number before it; None for the first.
        mailing: from whom, and whether the report is attached.
        page: the web pages' address; empty: no link.
        number: of the report.
        published_at: microseconds since 1970.
    """
    message = EmailMessage(policy=SMTP)
    message["From"] = mailing.sender
    message["To"] = letter.recipient
    if mailing.reply_to:
        message["Reply-To"] = mailing.reply_to
    message["Subject"] = subject(summary, corrected=number > 1)
    message["Date"] = format_datetime(moment(published_at).replace(microsecond=0))
    message["Message-ID"] = letter.message_id
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834: no automatic replies
    message.set_content(
        text(summary, before, mailing, page=page, number=number, published_at=published_at),
        cte="quoted-printable",
    )
    if mailing.attach:
        from stream.reports.pdf import pdf

        name = re.sub(r"[^A-Za-z0-9.-]+", "-", f"patrol-{summary.name}-{summary.area_id}-{number}.pdf")
        message.add_attachment(pdf(summary), maintype="application", subtype="pdf", filename=name)
        message.set_boundary(f"=={_digest(letter.message_id)}==")
    return message


def subject(summary: Summary, *, corrected: bool = False) -> str:
    """``Abbey, week 2026-W47: 81.6% on patch, target of 80% met``."""
    name = " ".join(summary.area_name.split())
    share, verdict, *_ = _said(summary.figures, summary.basis.target)
    said = f"{share} on patch, {_outcome(summary, verdict)}" if share else _no_share(summary.figures)
    return f"{'Corrected: ' if corrected else ''}{name}, {summary.period} {summary.name}: {said}"


def text(
    summary: Summary, before: Summary | None, mailing: Mailing, *, page: str, number: int, published_at: int
) -> str:
    """The letter in plain words (see ``compose``)."""
    parts = [[f"{' '.join(summary.area_name.split())}, {period_words(summary.start, summary.end)}"]]
    parts += [_figure(summary), _spent(summary.figures)]
    if before is not None:
        was = _share_words(before.figures, before.basis.target)
        parts.append([
            f"This is number {number} of this report: later facts changed what number {number - 1} said.",
            f"It said: {was}.",
        ])  # fmt: skip
    if len(summary.past) > 1:
        last = summary.past[-2]
        said = _share_words(last.figures, last.target) if last.figures else "nobody had duty time"
        parts.append([f"The {summary.period} before, {last.name}: {said}."])
    if mailing.attach:
        parts.append([
            "The whole report is attached. It names officers: keep it to those who are allowed to see that."
        ])  # fmt: skip
    elif page:
        parts.append(["The whole report, with everything behind the figure:", link(page, summary)])
    parts.append([f"Counted from what was known on {moment_words(published_at)}. Sent by Patrol Visibility."])
    return "\n\n".join("\n".join(lines) for lines in parts if lines) + "\n"


def link(page: str, summary: Summary) -> str:
    """Where the report stands on the web pages."""
    return f"{page.rstrip('/')}/weeks/{summary.name}/{quote(summary.area_id, safe='')}"


def _figure(summary: Summary) -> list[str]:
    """The share, its bounds and verdict in sentences."""
    share, verdict, low, high = _said(summary.figures, summary.basis.target)
    if not share:
        if summary.figures.duty:
            return [f"There is no share: {no_share_words(summary.figures)}."]
        return ["Nobody had duty time for this neighbourhood: there is no share."]
    aim, minutes = _target(summary), _minutes(summary.figures)
    spent = f"{duration(minutes[0])} of {duration(sum(minutes))}"
    doubt = "that makes no difference here"
    if low != high:
        doubt = f"the share was certainly between {low} and {high}"
    return [
        f"{share} of the officers' duty time was visibly on patch: {spent}.",
        f"Positions are not exact, and some may be missing: {doubt}.",
        {
            MET: f"The target of {aim} was met, even with every doubt counted against it.",
            MISSED: f"The target of {aim} was missed, even with every doubt counted in its favour.",
        }.get(verdict, f"{_outcome(summary, verdict).capitalize()}."),
    ]


def _spent(figures: Figures) -> list[str]:
    """Where the duty time went, in minutes that add up."""
    if not figures.duty:
        return []
    names = ("on patch", "off patch", "not visible", "position unknown")
    width = max(map(len, names))
    lines = [
        f"  {name:<{width}}  {duration(minutes)}"
        for name, minutes in zip(names, _minutes(figures), strict=True)
        if minutes
    ]
    if figures.on_break:
        lines.append(f"Breaks, {duration(apportion([figures.on_break])[0])}, are not part of the duty time.")
    return ["Where the duty time went:", *lines]


def _minutes(figures: Figures) -> list[int]:
    """On patch, off patch, not visible, unknown: whole minutes that add up to the duty time."""
    return apportion([figures.on_patch, figures.off_patch, figures.not_visible, figures.unknown])


def _share_words(figures: Figures, target: float) -> str:
    share, verdict, low, high = _said(figures, target)
    doubt = f" ({low} to {high})" if low != high else ""
    return f"{share} on patch{doubt}, target {verdict}" if share else _no_share(figures)


def _no_share(figures: Figures) -> str:
    return f"{no_share_words(figures)}, so no share" if figures.duty else "nobody had duty time"


def _said(figures: Figures, target: float) -> tuple[str, str, str, str]:
    """Share, verdict and bounds as a letter says them; empty where there is no share."""
    verdict = figures.verdict(target)
    if verdict is None:
        return "", "", "", ""
    aim = exact(target)
    share, low, high = (
        percent(Fraction(time, figures.duty), aim)
        for time in (figures.on_patch, figures.proven, figures.possible)
    )
    return share, verdict, low, high


def _outcome(summary: Summary, verdict: str) -> str:
    """A verdict in words."""
    if verdict in (MET, MISSED):
        return f"target of {_target(summary)} {verdict}"
    return f"cannot say whether the target of {_target(summary)} was met"


def _target(summary: Summary) -> str:
    return plain_percent(exact(summary.basis.target))


def _digest(*words: str) -> str:
    return hashlib.sha256("\n".join(words).encode()).hexdigest()[:32]


# ── handing it over ───────────────────────────────────────────────────────────────────────────────────────


class RefusedError(Exception):
    """The server refuses this letter for good (5xx): trying again would not help."""


class LaterError(Exception):
    """The server does not accept this letter now (4xx): greylisting, a full mailbox."""


class AwayError(Exception):
    """The server cannot be reached or used: no letter can be sent now."""


class SmtpConnection:
    """A connection to a mail server: opened for the first letter, opened again after it broke.

    Args:
        server: its address and credentials.
        timeout_s: how long the server may be silent, seconds.
    """

    def __init__(self, server: Relay, timeout_s: float = TIMEOUT_S) -> None:
        self._server = server
        self._timeout_s = timeout_s
        self._smtp: smtplib.SMTP | None = None

    def send(self, sender: str, recipient: str, data: bytes) -> None:
        """Sends one letter; the server has accepted it when this returns.

        Raises:
            RefusedError: the server refused it for good.
            LaterError: the server may accept it later.
            AwayError: the server cannot be used; it may even have accepted the letter.
        """
        try:
            if self._smtp is None:
                self._smtp = self._connect()
            self._smtp.sendmail(sender, [recipient], data)
        except smtplib.SMTPRecipientsRefused as error:
            code, answer = error.recipients[recipient]
            raise self._judged("the recipient", code, answer) from error
        except smtplib.SMTPSenderRefused as error:
            raise self._judged("the sender", error.smtp_code, error.smtp_error) from error
        except smtplib.SMTPDataError as error:
            raise self._judged("the letter", error.smtp_code, error.smtp_error) from error
        except (OSError, UnicodeError) as error:  # covers everything else that smtplib raises
            self.close()
            raise AwayError(f"{self._server.host}:{self._server.port}: {_one_line(error)}") from error

    def _connect(self) -> smtplib.SMTP:
        server, context = self._server, ssl.create_default_context()
        smtp: smtplib.SMTP
        if server.tls == TLS:
            smtp = smtplib.SMTP_SSL(server.host, server.port, timeout=self._timeout_s, context=context)
        else:
            smtp = smtplib.SMTP(server.host, server.port, timeout=self._timeout_s)
        try:
            smtp.ehlo_or_helo_if_needed()
            if server.tls == STARTTLS:
                # This fails if it is not offered: someone in between could have removed the offer.
                smtp.starttls(context=context)
                smtp.ehlo()
            if server.user:
                smtp.login(server.user, server.password)
        except BaseException:
            smtp.close()
            raise
        return smtp

    def _judged(self, what: str, code: int, answer: bytes | str) -> Exception:
        said = f"{what} was refused: {code} {_one_line(answer)}"
        if code == 421 or not 400 <= code < 600:
            # The server closes the line, or its answers are out of step with the requests: connect again.
            smtp, self._smtp = self._smtp, None
            if smtp is not None:
                smtp.close()
            return AwayError(said)
        return RefusedError(said) if code >= 500 else LaterError(said)

    def close(self) -> None:
        """Closes the connection."""
        smtp, self._smtp = self._smtp, None
        if smtp is not None:
            try:
                smtp.quit()
            except OSError:
                smtp.close()


def _one_line(answer: object) -> str:
    if isinstance(answer, bytes):
        answer = answer.decode("utf-8", "replace")
    return " ".join(str(answer).split()) or type(answer).__name__


@dataclass(frozen=True, slots=True)
class Delivered:
    """The result of one round of the outbox."""

    sent: int = 0
    failed: int = 0
    postponed: int = 0


def pause(attempts: int) -> int:
    """How long a letter waits after this many attempts, microseconds: a minute, doubled up to an hour."""
    return min(FIRST_PAUSE << min(attempts - 1, 10), LAST_PAUSE)


def deliver(
    connection: Connection,
    settings: Settings,
    *,
    wall: Clock,
    stop: Callable[[], bool] = lambda: False,
    timeout_s: float = TIMEOUT_S,
) -> Delivered:
    """Sends the letters of the outbox that are due, each in a transaction of its own.

    Args:
        connection: to the database, outside any transaction.
        settings: mail server, mailing and page.
        wall: the clock, microseconds since 1970.
        stop: asked before each letter whether to go on.
        timeout_s: how long the server may be silent, seconds.

    Raises:
        SettingsError: the mail file cannot be used.
    """
    if not settings.smtp:
        return Delivered()
    mailing, sent, failed, postponed, now = read_mailing(settings.mail), 0, 0, 0, wall()
    sender = parseaddr(mailing.sender)[1]
    with closing(SmtpConnection(relay(current(settings.smtp)), timeout_s)) as line:
        while not stop():
            with connection.transaction():
                item = outbox.take(connection, now)
                if item is None:
                    break
                tries, who = item.attempts + 1, item.letter.recipient
                try:
                    line.send(sender, who, _bytes(item, mailing, settings.address))
                except (RefusedError, FormError) as error:
                    outbox.settle(connection, item, outbox.FAILED, wall(), str(error))
                    log.warning("letter to %s failed: %s", who, error)
                    failed += 1
                except LaterError as error:
                    outbox.postpone(connection, item, wall() + pause(tries), str(error))
                    log.warning("letter to %s waits: %s", who, error)
                    postponed += 1
                except AwayError as error:
                    postponed += outbox.hold_back(connection, now, wall() + pause(tries), str(error))
                    log.warning("mail waits: %s", error)
                    break
                else:
                    outbox.settle(connection, item, outbox.SENT, wall())
                    sent += 1
    failed += outbox.give_up(connection, wall() - GIVE_UP, wall())
    return Delivered(sent, failed, postponed)


def _bytes(item: outbox.Waiting, mailing: Mailing, page: str) -> bytes:
    """The letter as it is sent.

    Raises:
        FormError: the report was published by a program with another form of summaries.
        LaterError: the attachment could not be made.
    """
    summary = decode(item.document)
    before = None if item.before is None else _perhaps(item.before)
    try:
        message = compose(
            item.letter,
            summary,
            before,
            mailing,
            page=page,
            number=item.number,
            published_at=item.published_at,
        )
    except Exception as error:
        # One report that cannot be drawn must not hold up the others.
        log.exception("the letter on %s, %s cannot be made", summary.area_id, summary.name)
        raise LaterError(f"the letter cannot be made: {_one_line(error)}") from error
    return message.as_bytes()


def _perhaps(document: bytes) -> Summary | None:
    try:
        return decode(document)
    except FormError:
        return None
