"""Where packages come from, for real: a TLS channel that wants credentials, a forward proxy, a directory.

Whatever happens, no secret is in a result, in a file below the root, or in /proc.
"""

from __future__ import annotations

import base64
import datetime
import importlib.util
import ipaddress
import json
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.testing import patch_module_args
from ansible_collections.atelier.datalab.plugins.module_utils._conda_sources import prepare
from ansible_collections.atelier.datalab.plugins.modules import conda_env
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from lab.channel.package import Entry, Package, write_repodata

pytestmark = pytest.mark.slow

# Not imported: the library may crash an interpreter at its end.
ENGINE = Path(importlib.util.find_spec("rattler").origin).parents[1]
PASSWORD, TOKEN, CONDA_TOKEN, WRONG = "pa ss/w@rd-7f3", "bearer-5d1c", "conda-tok-91e", "wrong-3b77"
PROXY_PASSWORD = "proxypass44"  # noqa: S105 - tinyproxy takes letters and digits only
SECRETS = (PASSWORD, TOKEN, CONDA_TOKEN, WRONG, PROXY_PASSWORD, "pa%20ss%2Fw%40rd-7f3")
SECRETS += tuple(base64.b64encode(f"{user}:{p}".encode()).decode() for user, p in (("bot", PASSWORD), ("bot", WRONG)))
SECRETS += (base64.b64encode(f"user:{PROXY_PASSWORD}".encode()).decode(),)
PEM = serialization.Encoding.PEM
ACCEPTED = {
    "basic": {"host": "localhost", "username": "bot", "password": PASSWORD},
    "token": {"host": "localhost", "token": TOKEN},
    "conda_token": {"host": "localhost", "conda_token": CONDA_TOKEN},
}


class Site:
    """A channel on loopback that wants credentials when told so, over TLS when given a context."""

    def __init__(self, folder: Path, wanted: bool = False, context: ssl.SSLContext | None = None) -> None:
        self.folder, self.seen, self.exposed = folder, [], set()
        site = self
        basic = base64.b64encode(f"bot:{PASSWORD}".encode()).decode()

        class Handler(SimpleHTTPRequestHandler):
            def send_head(self) -> Any:
                site.seen.append((self.path, self.headers.get("Via", "")))
                site.exposed |= exposed_in_proc()
                token, _, rest = self.path.removeprefix("/t/").partition("/")
                if self.path.startswith("/t/") and token == CONDA_TOKEN:
                    self.path = f"/{rest}"
                elif wanted and self.headers.get("Authorization") not in (f"Basic {basic}", f"Bearer {TOKEN}"):
                    self.send_error(401)
                    return None
                return super().send_head()

            def log_message(self, *arguments: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder)))
        if context:
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.port = self._server.server_port
        self.url = f"http{'s' if context else ''}://localhost:{self.port}/"

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class Proxy:
    """tinyproxy with an account."""

    def __init__(self, folder: Path, tls_port: int) -> None:
        self.port, self.log = free_port(), folder / "proxy.log"
        settings = folder / "proxy.conf"
        lines = [
            f"Port {self.port}",
            "Listen 127.0.0.1",
            f'LogFile "{self.log}"',
            "LogLevel Connect",
            "Allow 127.0.0.1",
        ]
        lines += [f"BasicAuth user {PROXY_PASSWORD}", f"ConnectPort {tls_port}"]
        settings.write_text("\n".join(lines) + "\n")
        self._process = subprocess.Popen(["tinyproxy", "-d", "-c", settings], stdout=subprocess.DEVNULL)
        self.url = f"http://127.0.0.1:{self.port}"
        for _ in range(100):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.05)
        raise TimeoutError(self.url)

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(10)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def exposed_in_proc() -> set[str]:
    """Secrets in the command line or environment of any process, as the kernel shows them to root."""
    text = b""
    for process in Path("/proc").glob("[0-9]*"):
        for name in ("cmdline", "environ"):
            try:
                text += (process / name).read_bytes() + b"\0"
            except OSError:  # it has ended, or is another account's
                continue
    return {secret for secret in SECRETS if secret.encode() in text}


def authority(folder: Path) -> tuple[str, ssl.SSLContext]:
    """Make a CA and a server certificate for localhost; return the CA's PEM and the server's context."""
    keys = [ec.generate_private_key(ec.SECP256R1()) for _ in range(2)]
    names = [x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]) for name in ("Company CA", "localhost")]
    now = datetime.datetime.now(datetime.UTC)
    texts = []
    for position in (0, 1):
        builder = x509.CertificateBuilder(names[0], names[position], keys[position].public_key())
        builder = builder.serial_number(x509.random_serial_number())
        builder = builder.not_valid_before(now - datetime.timedelta(hours=1))
        builder = builder.not_valid_after(now + datetime.timedelta(days=1))
        builder = builder.add_extension(x509.BasicConstraints(ca=position == 0, path_length=None), critical=True)
        alternatives = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
        builder = builder.add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        texts.append(builder.sign(keys[0], hashes.SHA256()).public_bytes(PEM))
    key = keys[1].private_bytes(PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "server.pem").write_bytes(key + texts[1])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem")
    return texts[0].decode(), context


@pytest.fixture(scope="module")
def channel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("channel")
    entries = [Entry("share/tool.txt", b"tool\n")]
    package = Package("tool", "1.0", "test_0", "noarch", noarch="generic", entries=entries)
    write_repodata(folder, [package.write(folder)])
    return folder


@pytest.fixture(scope="module")
def company(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, ssl.SSLContext]:
    return authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture
def private(channel: Path, company: tuple[str, ssl.SSLContext]) -> Iterator[Site]:
    site = Site(channel, wanted=True, context=company[1])
    yield site
    site.stop()


@pytest.fixture
def public(channel: Path) -> Iterator[Site]:
    site = Site(channel)
    yield site
    site.stop()


@pytest.fixture
def proxy(tmp_path: Path, private: Site) -> Iterator[Proxy]:
    proxy = Proxy(tmp_path, private.port)
    yield proxy
    proxy.stop()


class Host:
    """A root folder and the module run on it."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder, self.root, self._capsys = folder, folder / "conda", capsys

    def run(self, invocation: bool = True, **options: Any) -> dict[str, Any]:
        """Run the module; return its result (with ``invocation``: what -vvv shows).

        There must be no secret in it, nor below the root.
        """
        wanted = options.pop("environments", [{"name": "lab", "packages": ["tool"]}])
        arguments = {"root": str(self.root), "engine": str(ENGINE), "environments": wanted, **options}
        arguments |= {"_ansible_remote_tmp": str(self.folder), "_ansible_inject_invocation": invocation}
        self._capsys.readouterr()
        with patch_module_args(arguments), pytest.raises(SystemExit):
            conda_env.main()
        output = "".join(self._capsys.readouterr())
        assert not [secret for secret in SECRETS if secret in output]
        files = [path for path in self.folder.rglob("*") if path.is_file() and path.name != "proxy.conf"]
        assert not [p for p in files for secret in SECRETS if secret.encode() in p.read_bytes()]
        return json.loads(output)

    def built(self) -> bool:
        return (self.root / "envs/lab/current/share/tool.txt").is_file()


@pytest.fixture
def host(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Host:
    return Host(tmp_path, capsys)


def mirror(site: Site) -> dict[str, list[str]]:
    return {"conda-forge": [site.url]}


class TestPrivateChannel:
    @pytest.mark.parametrize("kind", ACCEPTED)
    def test_each_kind_of_credentials_over_tls(self, host: Host, private: Site, company: Any, kind: str) -> None:
        result = host.run(mirrors=mirror(private), ca_certificates=company[0], credentials=[ACCEPTED[kind]])
        assert "failed" not in result, result["msg"]
        assert host.built()
        assert any(path.endswith(".conda") for path, _ in private.seen)
        assert private.exposed == set()

    def test_channel_named_by_its_address(self, host: Host, private: Site, company: Any) -> None:
        wanted = [{"name": "lab", "packages": ["tool"], "channels": [private.url]}]
        result = host.run(environments=wanted, ca_certificates=company[0], credentials=[ACCEPTED["conda_token"]])
        assert result["environments"][0]["packages"][0]["url"] == f"{private.url}noarch/tool-1.0-test_0.conda"

    def test_credentials_of_a_domain(self, host: Host, private: Site, company: Any) -> None:
        known = ACCEPTED["token"] | {"host": "*.localhost"}
        assert host.run(mirrors=mirror(private), ca_certificates=company[0], credentials=[known])["changed"]

    @pytest.mark.parametrize(
        "wrong",
        [
            {"username": "bot", "password": WRONG},
            {"token": WRONG},
            {"conda_token": WRONG},
        ],
        ids="-".join,
    )
    def test_wrong_credentials_say_where_to_look(
        self, host: Host, private: Site, company: Any, wrong: dict[str, str]
    ) -> None:
        known = {"host": "localhost", "source": "SSM parameter /atelier/prod/conda/credentials", **wrong}
        result = host.run(mirrors=mirror(private), ca_certificates=company[0], credentials=[known])
        assert "the channel refused the credentials" in result["msg"]
        assert "401" in result["msg"]
        assert "check SSM parameter /atelier/prod/conda/credentials" in result["msg"]
        assert private.exposed == set()
        assert not host.built()

    def test_missing_credentials_are_asked_for(self, host: Host, private: Site, company: Any) -> None:
        result = host.run(mirrors=mirror(private), ca_certificates=company[0])
        assert "the channel wants credentials" in result["msg"]
        assert "no credentials are given for localhost" in result["msg"]

    def test_unknown_authority_is_refused(self, host: Host, private: Site) -> None:
        result = host.run(mirrors=mirror(private), credentials=[ACCEPTED["token"]])
        assert "no authority that this host trusts; give its authority in ca_certificates" in result["msg"]
        assert not private.seen


class TestProxy:
    def through(self, proxy: Proxy, password: str = PROXY_PASSWORD, **more: Any) -> dict[str, Any]:
        return {"http": proxy.url, "https": proxy.url, "username": "user", "password": password, **more}

    def test_everything_goes_through_it(self, host: Host, public: Site, proxy: Proxy) -> None:
        assert host.run(mirrors=mirror(public), proxies=self.through(proxy))["changed"]
        assert any(path.endswith(".conda") for path, _ in public.seen)
        assert [path for path, via in public.seen if "tinyproxy" not in via] == []
        assert public.exposed == set()

    def test_tls_through_it(self, host: Host, private: Site, company: Any, proxy: Proxy) -> None:
        sources = {"ca_certificates": company[0], "credentials": [ACCEPTED["basic"]], "proxies": self.through(proxy)}
        assert host.run(mirrors=mirror(private), **sources)["changed"]
        assert f"CONNECT localhost:{private.port}" in proxy.log.read_text()

    def test_wrong_password_at_the_proxy(self, host: Host, private: Site, proxy: Proxy) -> None:
        result = host.run(mirrors=mirror(private), proxies=self.through(proxy, WRONG))
        assert "the proxy refused the credentials" in result["msg"]
        assert proxy.url in result["msg"]
        assert not private.seen

    def test_no_password_at_the_proxy(self, host: Host, public: Site, proxy: Proxy) -> None:
        result = host.run(mirrors=mirror(public), proxies={"http": proxy.url})
        assert "the proxy refused the credentials" in result["msg"]
        assert not public.seen

    def test_proxy_that_answers_as_if_it_were_the_channel(self, host: Host, public: Site, proxy: Proxy) -> None:
        # tinyproxy refuses a wrong password with 401, as channels do.
        result = host.run(mirrors=mirror(public), proxies=self.through(proxy, WRONG))
        assert f"or the credentials of the proxy {proxy.url}" in result["msg"]
        assert not public.seen

    def test_dead_proxy_is_named(self, host: Host, public: Site) -> None:
        dead = f"http://127.0.0.1:{free_port()}"
        result = host.run(mirrors=mirror(public), proxies={"http": dead})
        assert "the proxy or the channel behind it does not answer" in result["msg"]
        assert f"through the proxy {dead}: " in result["msg"]
        assert not public.seen

    def test_exceptions_are_reached_directly(self, host: Host, public: Site) -> None:
        dead = f"http://127.0.0.1:{free_port()}"
        assert host.run(mirrors=mirror(public), proxies={"http": dead, "no_proxy": ["localhost"]})["changed"]

    def test_what_the_host_has_set_does_not_count(
        self, host: Host, public: Site, monkeypatch: pytest.MonkeyPatch, proxy: Proxy
    ) -> None:
        monkeypatch.setenv("NO_PROXY", "localhost")
        assert host.run(mirrors=mirror(public), proxies=self.through(proxy))["changed"]
        assert [path for path, via in public.seen if "tinyproxy" not in via] == []


def test_special_characters_in_a_proxy_password() -> None:
    proxies = {"http": "http://proxy:3128", "username": "a b", "password": "p@s:s/"}
    assert prepare({"proxies": proxies})["proxies"]["http_proxy"] == "http://a%20b:p%40s%3As%2F@proxy:3128"


class TestDirectory:
    def test_nothing_else_is_contacted(self, host: Host, channel: Path, public: Site) -> None:
        # Whoever wanted the network would have to pass the proxy, and is seen there.
        result = host.run(
            mirrors={"conda-forge": [f"file://{channel}"]}, proxies={"http": public.url, "https": public.url}
        )
        assert result["changed"]
        assert host.built()
        assert public.seen == []
        again = host.run(mirrors={"conda-forge": [f"file://{channel}"]})
        assert not again["changed"]

    def test_its_lock_builds_the_same_from_a_mirror(
        self, host: Host, channel: Path, public: Site, tmp_path: Path
    ) -> None:
        [offline] = host.run(mirrors={"conda-forge": [f"file://{channel}/"]})["environments"]
        assert str(channel) not in offline["lock"]
        assert offline["packages"][0]["url"] == "https://conda.anaconda.org/conda-forge/noarch/tool-1.0-test_0.conda"
        other = [{"name": "lab", "lock": offline["lock"]}]
        for place, sources in (("mirror", mirror(public)), ("directory", {"conda-forge": [f"file://{channel}"]})):
            host.root = tmp_path / place
            [built] = host.run(environments=other, mirrors=sources)["environments"]
            assert built["generation"] == offline["generation"]
            assert host.built()

    def test_missing_directory_is_named(self, host: Host, tmp_path: Path) -> None:
        result = host.run(mirrors={"conda-forge": [f"file://{tmp_path}/nothing"]})
        assert "the directory holds no channel" in result["msg"]
        assert f"{tmp_path}/nothing/noarch/repodata.json is missing" in result["msg"]


def test_every_offence_is_named_and_no_secret_is(host: Host) -> None:
    result = host.run(
        invocation=False,  # with -vvv Ansible shows the addresses as they were written
        environments=[{"name": "lab", "packages": ["tool"], "channels": [f"https://bot:{WRONG}@conda.example.com/x"]}],
        mirrors={
            "conda-forge": [f"https://conda.example.com/t/{WRONG}/conda-forge"],
            "ours": ["file:///srv/channel", "https://conda.example.com"],
            "theirs": ["file:relative"],
        },
        credentials=[
            {"host": "https://conda.example.com/", "token": TOKEN},
            {"host": "twice.example.com", "token": TOKEN, "conda_token": CONDA_TOKEN},
            {"host": "twice.example.com", "password": PASSWORD},
        ],
        proxies={"http": f"http://user:{WRONG}@proxy.example.com", "https": "proxy:3128", "no_proxy": ["10.0.0.0/8"]},
        ca_certificates="-----BEGIN CERTIFICATE-----\nnonsense\n",
    )
    for said in (
        "environment lab: an address holds credentials",
        "mirrors, conda-forge: an address holds credentials",
        "mirrors, ours: a directory stands alone",
        "mirrors, theirs: file:relative: write file:///absolute/path",
        "credentials of https://conda.example.com/: give the name of a host",
        "credentials of twice.example.com: given twice",
        "credentials of twice.example.com: give one of",
        "credentials of twice.example.com: username and password go together",
        "proxies.http: the address holds credentials",
        "proxies.https: proxy:3128: write http://",
        "proxies.no_proxy: '10.0.0.0/8'",
        "ca_certificates: not certificates in PEM",
    ):
        assert said in result["msg"]
