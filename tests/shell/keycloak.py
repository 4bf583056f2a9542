"""A real Keycloak for tests: the provider that forces run, from Maven Central, with a realm made for the run.

Resolves the distribution that ``deploy/keycloak/pom.xml`` names and prepares it for a quick start (once: both
stay in ``deploy/keycloak/target``), and runs it on a free port of loopback with everything in memory.
"""

from __future__ import annotations

import functools
import html
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
from pathlib import Path
from typing import Any

import httpx

from stream.embedded import Keeper, ThrowawayServer, free_port

PROJECT = Path(__file__).resolve().parents[2]
POM = PROJECT / "deploy" / "keycloak" / "pom.xml"
_VERSION = re.findall(r"<keycloak.version>(.+?)</keycloak.version>", POM.read_text("utf-8"))[0]
HOME = POM.parent / "target" / f"keycloak-{_VERSION}"
_READY = HOME / "prepared"
_BUILD = ["build", "--db=dev-mem", "--features-disabled=ciba,device-flow,kerberos,par"]
_ENVIRONMENT = {
    "JAVA_OPTS_KC_HEAP": "-Xms64m -Xmx400m",
    # A short life on a shared machine: the quick compiler is enough.
    "JAVA_OPTS_APPEND": "-XX:TieredStopAtLevel=1",
}
REALM, CLIENT = "force", "patrol"


@functools.cache
def unavailable_reason() -> str | None:
    """Why Keycloak cannot be run here and what to do about it; ``None`` where it can."""
    try:
        said = subprocess.run(["java", "-version"], capture_output=True, text=True, check=True).stderr
    except (OSError, subprocess.CalledProcessError):
        return "no Java found (install a JDK 17 and Maven)"
    version = re.search(r'version "(?:1\.)?(\d+)', said)
    if version is None or int(version[1]) < 17:
        return "no Java 17 or newer found (install a JDK 17 and Maven)"
    if _READY.exists():
        return None
    if not (HOME / "bin" / "kc.sh").exists():
        if shutil.which("mvn") is None:
            return "no Maven found (install Maven)"
        command = ["mvn", "-B", "-q", "-Dstyle.color=never", "-f", str(POM), "package"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            first = next((line for line in done.stdout.splitlines() if "ERROR" in line), "no reason given")
            return f"Maven could not resolve Keycloak (try: mvn -f deploy/keycloak/pom.xml package): {first}"
    environment = {**os.environ, **_ENVIRONMENT}
    command = ["bash", str(HOME / "bin" / "kc.sh"), *_BUILD]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if done.returncode:
        return f"Keycloak could not be prepared: {(done.stderr or done.stdout).strip().splitlines()[-1:]}"
    _READY.touch()
    return None


class Keycloak(ThrowawayServer):
    """One Keycloak, its administrator's password, and what tests ask of it.

    Attributes:
        port: where it answers, on loopback.
        secret: shared with the client ``patrol``.
    """

    name = "keycloak"
    patience_s = 180.0  # a quiet machine needs 15

    def __init__(self) -> None:
        self.port = free_port()
        self.secret, self._password = secrets.token_urlsafe(24), secrets.token_urlsafe(24)
        self._admin = httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=60)

    @property
    def issuer(self) -> str:
        """Its name for itself, in the realm of the tests."""
        return f"http://127.0.0.1:{self.port}/realms/{REALM}"

    def begin(self) -> None:
        """Starts it."""
        reason = unavailable_reason()
        assert reason is None, reason
        if self.keeper is None:
            self.keeper = Keeper("keycloak")
        command = [
            "bash",
            str(HOME / "bin" / "kc.sh"),
            "start",
            "--optimized",
            "--http-enabled=true",
            "--http-host=127.0.0.1",
            f"--http-port={self.port}",
            f"--hostname=http://127.0.0.1:{self.port}",
            "--cache=local",
        ]
        environment = {
            **_ENVIRONMENT,
            "KC_BOOTSTRAP_ADMIN_USERNAME": "admin",
            "KC_BOOTSTRAP_ADMIN_PASSWORD": self._password,
        }
        self.launch(command, lambda _pid: self._answers(), environment)

    def _answers(self) -> bool:
        with socket.socket() as asking:
            if asking.connect_ex(("127.0.0.1", self.port)):
                return False
        try:
            return self._admin.get("/realms/master").status_code == 200
        except httpx.HTTPError:
            return False

    def close(self) -> None:
        """Ends it for good."""
        self._admin.close()
        super().close()

    def hang(self) -> None:
        """Has it take connections and answer nothing."""
        self._signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """Ends that."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: int) -> None:
        """Java is a child of the script that starts it."""
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
        assert children
        for child in children:
            os.kill(int(child), number)

    # ── What its administrator does ───────────────────────────────────────────────────────────────────────

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """What its administrator asks, below the realm; gives its answer."""
        told = self._admin.post(
            "/realms/master/protocol/openid-connect/token",
            data={
                "grant_type": "password",
                "client_id": "admin-cli",
                "username": "admin",
                "password": self._password,
            },
        )
        bearer = {"Authorization": f"Bearer {told.json()['access_token']}"}
        answer = self._admin.request(method, f"/admin/realms{path}", json=body, headers=bearer)
        assert answer.status_code < 300, (path, answer.status_code, answer.text)
        return answer.json() if answer.content else None

    def make_realm(self, site: str, tells: str) -> None:
        """Makes the realm with its client, roles and people.

        Args:
            site: the pages' public address.
            tells: where it says who signed out.
        """
        mapper = {
            "name": "roles in the ID token",
            "protocol": "openid-connect",
            "protocolMapper": "oidc-usermodel-realm-role-mapper",
            "config": {
                "claim.name": "realm_access.roles",
                "jsonType.label": "String",
                "multivalued": "true",
                "id.token.claim": "true",
            },
        }
        client = {
            "clientId": CLIENT,
            "secret": self.secret,
            "standardFlowEnabled": True,
            "redirectUris": [f"{site}/sign-in/provider/back"],
            "protocolMappers": [mapper],
            "attributes": {
                "pkce.code.challenge.method": "S256",
                "post.logout.redirect.uris": f"{site}/sign-out/provider",
                "backchannel.logout.url": tells,
                "backchannel.logout.session.required": "true",
            },
        }
        names = ("patrol-inspector", "patrol-auditor")
        realm = {
            "realm": REALM,
            "enabled": True,
            "sslRequired": "none",
            "roles": {"realm": [{"name": name} for name in names]},
            "clients": [client],
        }
        self.ask("POST", "", realm)

    def person(self, name: str, *roles: str) -> str:
        """A person with some roles, whose password is the name; gives the provider's id of them."""
        made = {
            "username": name,
            "enabled": True,
            "firstName": name.title(),
            "lastName": "Doe",
            "email": f"{name}@force.example",
            "emailVerified": True,
            "credentials": [{"type": "password", "value": name, "temporary": False}],
        }
        self.ask("POST", f"/{REALM}/users", made)
        key = str(self.ask("GET", f"/{REALM}/users?username={name}&exact=true")[0]["id"])
        self.give(key, *roles)
        return key

    def give(self, key: str, *roles: str) -> None:
        """Gives a person these roles of the program's and no others."""
        path = f"/{REALM}/users/{key}/role-mappings/realm"
        present = [item for item in self.ask("GET", path) if item["name"].startswith("patrol-")]
        self.ask("DELETE", path, present)
        self.ask("POST", path, [self.ask("GET", f"/{REALM}/roles/{role}") for role in roles])

    def new_key(self) -> None:
        """Has it sign with a new key from now on."""
        realm = self.ask("GET", f"/{REALM}")["id"]
        config = {"priority": ["1000"], "enabled": ["true"], "active": ["true"], "algorithm": ["RS256"]}
        made = {
            "name": f"rotated-{secrets.token_hex(4)}",
            "providerId": "rsa-generated",
            "providerType": "org.keycloak.keys.KeyProvider",
            "parentId": realm,
            "config": config,
        }
        self.ask("POST", f"/{REALM}/components", made)


def pass_form(browser: httpx.Client, page: httpx.Response, name: str) -> httpx.Response:
    """Fills in Keycloak's form as a person does; gives the redirect back to the program."""
    found = re.search(r'<form id="kc-form-login"[^>]* action="([^"]+)"', page.text)
    assert found, page.text[:2000]
    return browser.post(html.unescape(found[1]), data={"username": name, "password": name})
