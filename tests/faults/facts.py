"""Random facts for a run of the campaign, as outside systems send them, and what must become of each.

A seed makes a world: a simulated shift, or sixteen officers whose facts contradict each other. Then it does
to the messages what real feeds do: sends some again, holds a device's back for hours, sets clocks wrong by
an hour, and puts in what nobody can read.
"""

from __future__ import annotations

import json
import random
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from stream import topics
from stream.core.calendar import parse_time, rfc3339
from stream.core.events import decode_duties, decode_positions, decode_states
from stream.core.facts import SECOND
from stream.core.policy import Policies, limits
from stream.simulate import demo_force, simulate
from tests.shell.doubted import UNTIL, doubted_facts
from tests.shell.pipeline import Facts, Message, facts_of, write_areas

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

HOUR = 3600 * SECOND
SHIFT = "2026-01-26T15:00:00Z"
POSITIONS = (topics.RADIO_POSITIONS, topics.VEHICLE_POSITIONS)

DUPLICATES, DISORDER, CLOCKS, POISON = "duplicates", "disorder", "clocks", "poison"
FLAWS = (DUPLICATES, DISORDER, CLOCKS, POISON)
"""What can be wrong with the messages themselves."""


@dataclass(frozen=True, slots=True)
class World:
    """What a run sends.

    Attributes:
        name: which boundaries it lies in.
        facts: messages in sending order, those on internal topics among them; boundaries; when open duties
            are cut.
    """

    name: str
    facts: Facts


DEMO, TOWN = "demo", "town"


def areas(name: str, folder: Path) -> tuple[tuple[Path, str], ...]:
    """The boundary files of a world."""
    return write_areas(demo_force(1), folder) if name == DEMO else doubted_facts(folder).facts.areas


def world(seed: int, flaws: Sequence[str], folder: Path) -> World:
    """The facts of a seed, with flaws."""
    chance = random.Random(f"facts {seed}")
    name = chance.choice([DEMO, TOWN])
    facts = _shift(seed, folder) if name == DEMO else doubted_facts(folder, seed).facts
    messages = sorted(facts.messages, key=lambda message: message.stamp) if name == TOWN else facts.messages
    return World(name, replace(facts, messages=tuple(flawed(messages, flaws, chance))))


def flawed(messages: Sequence[Message], flaws: Sequence[str], chance: random.Random) -> list[Message]:
    """The messages as they come where these things are wrong with them."""
    found = list(messages)
    for flaw, change in _CHANGES.items():
        if flaw in flaws:
            found = change(found, chance)
    return found


def _shift(seed: int, folder: Path) -> Facts:
    force = demo_force(1)
    made = simulate(
        force,
        officers=12,
        start=parse_time(SHIFT),
        hours=0.35,
        interval_s=10.0,
        seed=seed,
    )
    return facts_of(made, force, folder)


# ── flaws ─────────────────────────────────────────────────────────────────────────────────────────────────


def _sent_again(messages: list[Message], chance: random.Random) -> list[Message]:
    """Some come twice or thrice, soon after or much later, and in any partition."""
    found: list[tuple[float, Message]] = [(float(at), message) for at, message in enumerate(messages)]
    for at, message in list(found):
        if chance.random() < 0.08:
            for _ in range(chance.choice([1, 1, 2])):
                later = at + chance.choice([0.5, chance.uniform(1, 50), chance.uniform(0, len(messages))])
                key = message.key if chance.random() < 0.7 else chance.randbytes(4)
                found.append((later, replace(message, key=key)))
    return [message for _, message in sorted(found, key=lambda item: item[0])]


def _held_back(messages: list[Message], chance: random.Random) -> list[Message]:
    """Everything jostles; a few devices and officers are hours late with a part of what they have to say."""
    keys = sorted({message.key for message in messages if message.key})
    late = set(chance.sample(keys, min(len(keys), chance.randint(1, 4))))
    low = chance.uniform(0, 0.6)
    high = low + chance.uniform(0.1, 0.4)
    places = []
    for at, message in enumerate(messages):
        place, stamp = at + chance.expovariate(1 / 20), message.stamp
        if message.key in late and low < at / len(messages) < high:
            hours = chance.uniform(0.5, 6)
            place += hours * len(messages) / 8
            stamp += round(hours * HOUR)
        places.append((place, replace(message, stamp=stamp)))
    return [message for _, message in sorted(places, key=lambda item: item[0])]


def _clocks_off(messages: list[Message], chance: random.Random) -> list[Message]:
    """Two devices' clocks are wrong by an hour, one is ahead and one behind."""
    keys = sorted({message.key for message in messages if message.topic in POSITIONS and message.key})
    off = dict(zip(chance.sample(keys, 2), (HOUR, -HOUR), strict=True))
    return [
        _moved(message, off[message.key]) if message.topic in POSITIONS and message.key in off else message
        for message in messages
    ]


def _moved(message: Message, by: int) -> Message:
    try:
        value: Any = json.loads(message.value)
        value["time"] = rfc3339(parse_time(value["time"]) + by)
    except (ValueError, KeyError, TypeError, AttributeError):
        return message
    return replace(message, value=json.dumps(value).encode())


def _poisoned(messages: list[Message], chance: random.Random) -> list[Message]:
    """What nobody can read is among them, on the internal topics too."""
    found = list(messages)
    for _ in range(chance.randint(5, 40)):
        at = chance.randrange(len(found))
        near = found[at]
        topic = chance.choice(topics.RAW)
        value = chance.choice(_POISONS)(chance, near)
        found.insert(at, Message(topic, value, near.stamp, chance.choice([b"", near.key, b"\xff\x00"])))
    for _ in range(chance.randint(1, 6)):
        at = chance.randrange(len(found))
        topic = chance.choice(topics.INTERNAL)
        value = b"no frame: " + chance.randbytes(chance.randint(0, 60))
        found.insert(at, Message(topic, value, found[at].stamp, b"poison"))
    return found


_POISONS = (
    lambda chance, near: b"",
    lambda chance, near: chance.randbytes(chance.randint(1, 200)),
    lambda chance, near: near.value[: chance.randrange(len(near.value) + 1)],
    lambda chance, near: near.value + near.value,
    lambda chance, near: near.value.replace(b":", b": " + b"[" * chance.choice([1, 500, 50_000]), 1),
    lambda chance, near: b"[" + near.value + b"]",
    lambda chance, near: near.value.replace(b'"device_id":"', b'"device_id":"\\u0000'),
    lambda chance, near: near.value.replace(b'"officer_id":"', b'"officer_id":"\\ud800'),
    lambda chance, near: near.value.replace(b"2026-", b"%d-" % chance.choice([0, 1, 1970, 9999, 20260])),
    lambda chance, near: near.value.replace(b"0", b"9" * chance.choice([2, 30, 400])),
    lambda chance, near: near.value.decode(errors="replace").encode("utf-16"),
    lambda chance, near: bytes(byte ^ (chance.random() < 0.02) for byte in near.value),
)

_CHANGES = {DUPLICATES: _sent_again, DISORDER: _held_back, CLOCKS: _clocks_off, POISON: _poisoned}


# ── what must become of them ──────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Kept:
    """A message as Kafka keeps it.

    Attributes:
        topic: without the prefix.
        partition: its number.
        offset: its place there.
        message: what was sent.
        headers: of the record.
    """

    topic: str
    partition: int
    offset: int
    message: Message
    headers: tuple[tuple[str, bytes], ...] = ()


@dataclass(frozen=True, slots=True)
class Judged:
    """What must become of messages.

    Attributes:
        accepted: those that are counted.
        rejected: the others, each with its reason.
    """

    accepted: tuple[Message, ...]
    rejected: tuple[tuple[Kept, str], ...]


def judged(kept: Sequence[Kept]) -> Judged:
    """Judges raw messages as the rules have it: all of a topic at once, without any server."""
    accepted: list[Message] = []
    rejected: list[tuple[Kept, str]] = []
    for topic in topics.RAW:
        mine = [item for item in kept if item.topic == topic]
        values = [item.message.value for item in mine]
        if topic in POSITIONS:
            received = np.array([item.message.stamp // 1000 * 1000 for item in mine], np.int64)
            rejects = decode_positions(
                values, received, limits=limits(Policies()), traccar=topic == topics.VEHICLE_POSITIONS
            ).rejects
        else:
            *_, rejects = (decode_duties if topic == topics.DUTY_BOOKINGS else decode_states)(values)
        reasons = {reject.index: str(reject.reason) for reject in rejects}
        rejected += [(mine[at], reason) for at, reason in reasons.items()]
        accepted += [item.message for at, item in enumerate(mine) if at not in reasons]
    return Judged(tuple(accepted), tuple(rejected))


def until_of(world: World) -> int:
    """When open duties are cut: after all that the world tells, also by clocks that are ahead."""
    return max(world.facts.until, UNTIL if world.name == TOWN else 0)


def missing(sent: Sequence[Message], kept: Sequence[Kept]) -> Counter[tuple[str, bytes]]:
    """What was sent and acknowledged, and is not on Kafka."""
    return Counter((item.topic, item.value) for item in sent) - Counter(
        (item.topic, item.message.value) for item in kept
    )
