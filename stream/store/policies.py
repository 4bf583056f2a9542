"""The accounting's settings in the database, for the views that people read with SQL.

It writes the settings that the views need. Nothing is counted from them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from stream.store.schema import Lock, lock

if TYPE_CHECKING:
    from stream.core.policy import Policies
    from stream.store.schema import Connection


def keep(connection: Connection, policies: Policies) -> bool:
    """Makes the tables say what the policies say.

    Who counts calls this before it begins, so views read by the settings of whoever began last.

    Returns:
        whether anything changed.
    """
    settings, states = [], []
    for start, policy in zip(policies.starts, policies.policies, strict=True):
        settings.append((start, policy.target, policy.visit_join_s, policy.visit_min_s))
        states += [(start, code, state.name, state.counts) for code, state in sorted(policy.states.items())]
    with connection.transaction():
        lock(connection, Lock.POLICY)
        before = _rows(connection)
        with connection.cursor() as cursor:
            cursor.execute("delete from policy")
            cursor.executemany(
                "insert into policy (valid_from, target, visit_join, visit_min) values "
                "(from_us(%s), %s, make_interval(secs => %s), make_interval(secs => %s))",
                settings,
            )
            cursor.executemany(
                "insert into policy_state (valid_from, state, name, counts) values (from_us(%s), %s, %s, %s)",
                states,
            )
        return _rows(connection) != before


def _rows(connection: Connection) -> list[tuple[object, ...]]:
    return connection.execute(
        "select valid_from::text, target, visit_join, visit_min, state, name, counts "
        "from policy left join policy_state using (valid_from) order by valid_from, state"
    ).fetchall()
