"""The manifests for Kubernetes: what they start can be started, and may do nothing that it need not.

There is no cluster here. The files are checked against Kubernetes' own schemas where ``make kubernetes`` has
installed them, and built by kustomize where that is found.
"""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from stream.cli import patrol
from stream.settings import SETTINGS

PROJECT = Path(__file__).resolve().parents[2]
FOLDER = PROJECT / "deploy" / "kubernetes"
EXAMPLE = FOLDER / "overlays" / "example"
KUSTOMIZATION = yaml.safe_load((FOLDER / "base" / "kustomization.yaml").read_text())
OBJECTS: list[dict[str, Any]] = [
    found
    for name in KUSTOMIZATION["resources"]
    for found in yaml.safe_load_all((FOLDER / "base" / name).read_text())
]
SCHEMAS = ["1.34", "1.37"]
"""The oldest version of Kubernetes that the manifests are checked for, and the newest."""
COMPONENT = "app.kubernetes.io/component"


def of(kind: str) -> dict[str, dict[str, Any]]:
    """The objects of a kind, by name."""
    return {found["metadata"]["name"]: found for found in OBJECTS if found["kind"] == kind}


def pods() -> dict[str, dict[str, Any]]:
    """What each workload makes its pods from: labels and specification."""
    found = {
        name: item["spec"]["template"] for kind in ("Deployment", "Job") for name, item in of(kind).items()
    }
    jobs = {name: item["spec"]["jobTemplate"]["spec"]["template"] for name, item in of("CronJob").items()}
    return found | jobs


def selected(selector: dict[str, Any]) -> set[str]:
    """The components that a selector of labels selects."""
    names = set(pods())
    if selector.get("matchLabels"):
        names &= {selector["matchLabels"][COMPONENT]}
    for expression in selector.get("matchExpressions", []):
        assert (expression["key"], expression["operator"]) == (COMPONENT, "In")
        assert set(expression["values"]) <= set(pods())
        names &= set(expression["values"])
    return names


def test_every_file_is_taken() -> None:
    """The base takes every file of its folder, and so does the example."""
    for folder in (FOLDER / "base", EXAMPLE):
        text = (folder / "kustomization.yaml").read_text()
        for path in folder.iterdir():
            assert path.name in {"kustomization.yaml", "secrets"} or path.name in text, path


@pytest.mark.parametrize("name", sorted(pods()))
def test_a_pod_has_no_rights(name: str) -> None:
    """Every pod is one that the restricted standard admits, and more: no token, nothing to write but /tmp."""
    spec = pods()[name]["spec"]
    assert pods()[name]["metadata"]["labels"] == {COMPONENT: name}
    assert spec["automountServiceAccountToken"] is False
    assert spec["enableServiceLinks"] is False
    assert spec["securityContext"] == {
        "runAsNonRoot": True,
        "runAsUser": 10001,
        "runAsGroup": 10001,
        "fsGroup": 10001,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    assert not {"hostNetwork", "hostPID", "hostIPC"} & set(spec)
    (container,) = spec["containers"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert container["resources"]["limits"]["memory"]
    assert set(container["resources"]["requests"]) == {"cpu", "memory"}
    mounted = {mount["name"]: mount.get("readOnly", False) for mount in container["volumeMounts"]}
    assert mounted == {"settings": True, "secrets": True, "tmp": False}
    volumes = {volume["name"]: volume for volume in spec["volumes"]}
    assert volumes["secrets"]["secret"]["secretName"] == name
    assert volumes["tmp"]["emptyDir"]["sizeLimit"]


@pytest.mark.parametrize("name", sorted(pods()))
def test_a_pod_starts_what_there_is(name: str) -> None:
    """Commands, options and settings are ones that the program has."""
    (container,) = pods()[name]["spec"]["containers"]
    word, *options = container["args"]
    command = patrol.commands[word]
    suspended = of("CronJob").get(name, {}).get("spec", {}).get("suspend", False)
    assert suspended or command is not None
    if command is not None:
        known = {
            text for option in command.params if isinstance(option, click.Option) for text in option.opts
        }
        assert {text for text in options if text.startswith("--")} <= known
    for variable in container["env"]:
        assert "valueFrom" not in variable  # secrets are files
        setting = variable["name"].removeprefix("PATROL_").removesuffix("_FILE").lower()
        assert setting in SETTINGS or setting == "config"
    image = {"web": "patrol-visibility-web"}.get(name, "patrol-visibility-worker")
    assert container["image"] == image
    assert image in {each["name"] for each in KUSTOMIZATION["images"]}


@pytest.mark.parametrize("name", sorted(of("Deployment")))
def test_what_runs_is_watched_and_stays(name: str) -> None:
    """Everything that goes on running is probed where it tells of itself, and one of it stays at any time."""
    (container,) = pods()[name]["spec"]["containers"]
    (port,) = container["ports"]
    settings = {variable["name"]: variable.get("value") for variable in container["env"]}
    if name == "web":
        assert container["args"][container["args"].index("--port") + 1] == str(port["containerPort"])
        assert settings["PATROL_SIGN_IN"]
    else:
        assert settings["PATROL_HEALTH_PORT"] == str(port["containerPort"])
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        wanted = "/readyz" if probe == "readinessProbe" and name != "web" else "/healthz"
        assert container[probe]["httpGet"] == {"path": wanted, "port": "health"}
    assert of("Deployment")[name]["spec"]["selector"] == {"matchLabels": {COMPONENT: name}}
    budget = of("PodDisruptionBudget")[name]["spec"]
    assert selected(budget["selector"]) == {name}
    assert budget["minAvailable"] < of("Deployment")[name]["spec"]["replicas"]


def test_workers_are_scaled_by_what_they_tell() -> None:
    """The metric that scales is one that workers have; there are as many as are started, up to partitions."""
    scaler = of("HorizontalPodAutoscaler")["worker"]["spec"]
    (metric,) = scaler["metrics"]
    name = metric["external"]["metric"]["name"]
    assert f"| `{name}` | gauge |" in (PROJECT / "deploy" / "README.md").read_text()
    assert name in (FOLDER / "README.md").read_text()
    assert scaler["minReplicas"] == of("Deployment")["worker"]["spec"]["replicas"]
    assert scaler["maxReplicas"] == 8


def test_nothing_gets_in_or_out_that_is_not_named() -> None:
    """All is refused, and who gets where is listed: only timers send mail, and the pages never ask Kafka."""
    policies = of("NetworkPolicy")
    nothing = policies.pop("nothing")["spec"]
    assert nothing == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    out: dict[str, set[int]] = {name: set() for name in pods()}
    into: dict[str, set[int]] = {name: set() for name in pods()}
    for policy in policies.values():
        spec = policy["spec"]
        for way, rules in ((out, spec.get("egress", [])), (into, spec.get("ingress", []))):
            for rule in rules:
                assert way is out or rule["from"]
                for name in selected(spec["podSelector"]):
                    way[name] |= {port["port"] for port in rule["ports"]}
    counts = {53, 5432, 9092}
    assert out == {
        **dict.fromkeys(("init", "ingest", "worker", "retention"), counts),
        "timers": counts | {587, 465},
        "web": {53, 5432},
    }
    assert set().union(*into.values()) == {9101, 8080}


def test_the_example_has_settings_that_there_are() -> None:
    """Settings of base and example are known, and every file that they name is put there."""
    for path in (FOLDER / "base" / "settings.toml", EXAMPLE / "settings.toml"):
        assert set(tomllib.loads(path.read_text())) <= set(SETTINGS)
    text = (EXAMPLE / "kustomization.yaml").read_text()
    for path in EXAMPLE.glob("*.yaml"):
        for variable in re.findall(r"name: PATROL_(\w+)", path.read_text()):
            assert variable.removesuffix("_FILE").lower() in SETTINGS
        for file in re.findall(r"/(?:etc|run/secrets)/patrol/([\w.-]+)", path.read_text()):
            assert file in text


@pytest.mark.parametrize("version", SCHEMAS)
def test_the_manifests_are_what_kubernetes_takes(version: str) -> None:
    """Every object is accepted by the published schema of its kind, which knows each field."""
    if importlib.util.find_spec("kubernetes_validate") is None:
        pytest.skip("needs Kubernetes' schemas: make kubernetes")
    import kubernetes_validate

    objects = [*OBJECTS, *yaml.safe_load_all((EXAMPLE / "ingress.yaml").read_text())]
    assert len(objects) > 15
    for found in objects:
        kubernetes_validate.validate(found, version, strict=True)
    wrong = {**of("Deployment")["web"], "spec": {**of("Deployment")["web"]["spec"], "replica": 2}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, version, strict=True)


def test_kustomize_builds_base_and_example(tmp_path: Path) -> None:
    """Kustomize makes of the example what is meant: images by digest, and every process's own secrets."""
    kustomize = shutil.which("kustomize")
    if kustomize is None:
        pytest.skip("needs kustomize")
    shutil.copytree(FOLDER, tmp_path / "kubernetes")
    example = tmp_path / "kubernetes" / "overlays" / "example"
    for file in re.findall(r"secrets/([\w.-]+)", (example / "kustomization.yaml").read_text()):
        (example / "secrets" / file).write_text("secret")
    done = subprocess.run([kustomize, "build", example], capture_output=True, text=True, check=True)
    built = list(yaml.safe_load_all(done.stdout))
    workloads = {each["metadata"]["name"]: each for each in built if each["kind"] in {"Deployment", "Job"}}
    assert set(workloads) == set(pods()) - {"retention"}
    for name, workload in workloads.items():
        spec = workload["spec"]["template"]["spec"]
        (container,) = spec["containers"]
        assert "@sha256:" in container["image"]
        (secret,) = [each["secret"]["secretName"] for each in spec["volumes"] if each["name"] == "secrets"]
        secrets = {each["metadata"]["name"]: each for each in built if each["kind"] == "Secret"}
        variables = {variable["name"]: variable["value"] for variable in container["env"]}
        for variable, value in variables.items():
            if variable.endswith("_FILE"):
                assert Path(value).name in secrets[secret]["data"], (name, variable)
        assert ("PATROL_KAFKA_PASSWORD_FILE" in variables) == (name != "web")
        assert ("PATROL_SMTP_FILE" in variables) == (name == "timers")
