"""What is monitored follows the code: rules, dashboard and runbook name what there is."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml

from stream.core.events import REASONS
from stream.pipeline.metrics import IngestMetrics, WorkerMetrics

PROJECT = Path(__file__).resolve().parents[2]
DEPLOY = PROJECT / "deploy"
OF_PROMETHEUS = {"up", "process_resident_memory_bytes", "process_cpu_seconds_total"}
"""Metrics that Prometheus and its client give by themselves."""


def rules() -> list[dict[str, Any]]:
    """All alert rules."""
    document = yaml.safe_load((DEPLOY / "monitoring" / "alerts.yml").read_text(encoding="utf-8"))
    return [rule for group in document["groups"] for rule in group["rules"]]


def expressions() -> list[tuple[str, str]]:
    """Every query of rules and dashboard, with where it stands."""
    board = json.loads((DEPLOY / "monitoring" / "dashboard.json").read_text(encoding="utf-8"))
    return [
        *((rule["alert"], rule["expr"]) for rule in rules()),
        *(
            (panel["title"], target["expr"])
            for panel in board["panels"]
            for target in panel.get("targets", ())
        ),
    ]


def metrics() -> set[str]:
    """The names under which Prometheus keeps the metrics of deploy/README.md, which other tests compare."""
    found = set(OF_PROMETHEUS)
    text = (DEPLOY / "README.md").read_text(encoding="utf-8")
    for name, kind in re.findall(r"^\| `(patrol_\w+)` \| (\w+) \|", text, re.MULTILINE):
        found |= {f"{name}_{end}" for end in ("bucket", "sum", "count")} if kind == "histogram" else {name}
    return found


def selectors(query: str) -> list[tuple[str, dict[str, str]]]:
    """The metrics that a query asks for, with what their labels must be."""
    return [
        (name, dict(re.findall(r'(\w+)="([^"]*)"', labels or "")))
        for name, labels in re.findall(r"\b((?:patrol|process)_\w+|up)\b(?:\{([^}]*)\})?", query)
    ]


@pytest.mark.parametrize(("where", "query"), expressions(), ids=[where for where, _ in expressions()])
def test_every_query_is_one_and_asks_for_what_there_is(where: str, query: str) -> None:
    """Every query of a rule or a panel can be parsed, and names metrics that exist."""
    promql_parser.parse(query)
    asked = selectors(query)
    assert asked, where
    assert {name for name, _ in asked} <= metrics(), where


def test_labels_asked_for_are_ones_that_are_set() -> None:
    """Values of labels in queries are values that the code gives."""
    given: dict[str, set[str]] = {
        "timer": {"alerts", "reports"},
        "what": {"letters", "letters_failed", "doubts", "device_days", "outdated_duties"},
        "kind": {"fixes", "duties", "states", "heard"},
        "reason": set(REASONS),
        "job": {"ingest", "worker", "web"},
    }
    source = (PROJECT / "stream/pipeline/monitor.py").read_text(encoding="utf-8")
    for value in given["timer"] | given["what"]:
        assert f'"{value}"' in source
    for where, query in expressions():
        for _, labels in selectors(query):
            for label, value in labels.items():
                assert value in given[label], where


def test_every_rule_has_its_section_in_the_runbook_and_every_section_its_rule() -> None:
    """The runbook says what to do about each alarm, under its name, and about no other."""
    text = (DEPLOY / "runbook.md").read_text(encoding="utf-8")
    sections = re.findall(r"^### (Patrol\w+)\n\n(.+)$", text, re.MULTILINE)
    assert [name for name, _ in sections] == [rule["alert"] for rule in rules()]
    assert all(len(said) > 60 for _, said in sections)
    for rule in rules():
        anchor = f"deploy/runbook.md#{rule['alert'].lower()}"
        assert rule["annotations"]["runbook"] == anchor
        assert set(rule) <= {"alert", "expr", "for", "labels", "annotations"}
        assert rule["labels"]["severity"] in {"page", "warn"}
        assert re.fullmatch(r"\d+[smh]", rule.get("for", "1m"))
        placeholders = re.findall(r"\{\{ (.*?) \}\}", rule["annotations"]["summary"])
        assert all(re.fullmatch(r"\$labels\.\w+|\$value( \| \w+)?", found) for found in placeholders)


def test_what_is_absent_is_named() -> None:
    """absent() of anything but plain labels says nothing of what is absent: a rule writes it in."""
    names = {rule["alert"]: rule for rule in rules() if "absent(" in rule["expr"]}
    assert names
    for rule in names.values():
        given = re.findall(
            r'label_replace\(absent\(up\{job="(\w+)"\} == 1\), "job", "(\w+)", "", ""\)', rule["expr"]
        )
        assert given == [("ingest", "ingest"), ("worker", "worker")]
        assert rule["expr"].count("absent(") == len(given)
        assert set(re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"])) == {"job"}


def test_a_metric_that_is_gone_would_be_noticed() -> None:
    """A made-up query is read for its metrics and labels."""
    query = 'sum(rate(patrol_gone_total{kind="x"}[5m])) / up{job=~"a|b"} > 1'
    assert selectors(query) == [("patrol_gone_total", {"kind": "x"}), ("up", {})]
    assert not {"patrol_gone_total"} <= metrics()
    with pytest.raises(ValueError, match="unclosed"):
        promql_parser.parse("sum(rate(patrol_x_total[5m])")


def test_no_metric_names_a_person_or_a_device() -> None:
    """The labels of all metrics of ingest and worker are kinds of things, never somebody."""
    labels = {
        label
        for found in (IngestMetrics(), WorkerMetrics())
        for metric in found.registry.collect()
        for sample in metric.samples
        for label in sample.labels
    }
    assert labels <= {"topic", "reason", "server", "le", "version", "kind", "timer", "what", "table", "state"}
