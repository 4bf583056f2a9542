"""Workers beside each other: however many there are, the tables are those of the files."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.bench.bench_workers import Job, count, parts, shift
from tests.shell.pipeline import Pipeline
from tests.shell.stored import database_called

if TYPE_CHECKING:
    from pathlib import Path

    from stream.embedded import EmbeddedDatabase
    from tests.shell.kafka import RealKafka


@pytest.mark.slow
@pytest.mark.kafka
def test_one_worker_and_four_count_the_same(
    real_kafka: RealKafka, database_server: EmbeddedDatabase, tmp_path: Path
) -> None:
    """Every table that one worker makes of a shift is the account's, and so is every table that four make.

    Some reports come twice, some late, through two ingests. ``make bench ARGS=workers`` counts with two and
    eight workers, too.
    """
    job = Job.of(shift(tmp_path, 30, 0.4, 10.0), tmp_path / "account")
    for workers in (1, 4):
        with (
            database_called(database_server, f"workers_{workers}") as database,
            Pipeline(
                *(real_kafka.bootstrap, database, tmp_path / str(workers)),
                parts=parts(workers),
                partitions=4,
                examine_s=0.5,
                batch_fixes=200,
            ) as pipeline,
        ):
            found = count(job, real_kafka, database_server, pipeline)
            pipeline.stop()
            pipeline.hang_up()
        assert found.workers == workers
        assert not found.differs
        assert found.waits.active, "the workers were looked at"
