"""Where packages come from: what was asked for is checked and made ready for the engine; no file, no network.

Secrets are never part of an address: addresses are shown in logs, diffs and errors.
"""

from __future__ import annotations

import re
import ssl
import urllib.parse
from collections.abc import Iterator
from typing import Any

from ansible_collections.atelier.datalab.plugins.module_utils._conda import PIP_SOURCE, CondaError, channel_url

_HOST = re.compile(r"(\*\.)?[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?")
_DIRECTORY = re.compile(r"file:///[A-Za-z0-9._+/-]+")
_KINDS = ("password", "token", "conda_token")


def check_sources(options: dict[str, Any]) -> None:
    """Raise one CondaError that names every offence of ``options`` (the module's) and never a secret."""
    offences = [
        *_check_addresses(options),
        *_check_credentials(options.get("credentials") or []),
        *_check_proxies(options.get("proxies") or {}),
        *_check_authorities(options.get("ca_certificates") or ""),
    ]
    if offences:
        raise CondaError("sources: " + "; ".join(offences))


def prepare(options: dict[str, Any]) -> dict[str, Any]:
    """Return the part of a request to the engine that says where packages come from (checked ``options``).

    ``mirrors`` channel's address to addresses; ``directories`` channel's address to a ``file://`` address;
    ``credentials`` host to what py-rattler's AuthenticationStorage reads; ``origins`` host to where these come from;
    ``proxies`` environment variables; ``authorities`` PEM.
    """
    mirrors: dict[str, list[str]] = {}
    directories: dict[str, str] = {}
    for channel, addresses in (options.get("mirrors") or {}).items():
        if channel == PIP_SOURCE:
            continue
        if addresses and addresses[0].startswith("file:"):
            directories[channel_url(channel)] = addresses[0].rstrip("/")
        elif addresses:
            mirrors[channel_url(channel)] = [f"{address.rstrip('/')}/" for address in addresses]
    credentials = options.get("credentials") or []
    return {
        "mirrors": mirrors,
        "directories": directories,
        "credentials": {entry["host"]: _credential(entry) for entry in credentials},
        "origins": {entry["host"]: entry.get("source") or "the credentials given" for entry in credentials},
        "proxies": _proxy_variables(options.get("proxies") or {}),
        "authorities": options.get("ca_certificates") or "",
    }


def _credential(entry: dict[str, Any]) -> dict[str, Any]:
    if entry.get("token"):
        return {"BearerToken": entry["token"]}
    if entry.get("conda_token"):
        return {"CondaToken": entry["conda_token"]}
    return {"BasicHTTP": {"username": entry["username"], "password": entry["password"]}}


def _proxy_variables(proxies: dict[str, Any]) -> dict[str, str]:
    addresses = {f"{scheme}_proxy": proxies[scheme] for scheme in ("http", "https") if proxies.get(scheme)}
    if not addresses:
        return {}
    if proxies.get("username"):
        user, password = (urllib.parse.quote(proxies[key], safe="") for key in ("username", "password"))
        addresses = {name: url.replace("://", f"://{user}:{password}@", 1) for name, url in addresses.items()}
    return addresses | {"no_proxy": ",".join(proxies.get("no_proxy") or [])}


def _check_addresses(options: dict[str, Any]) -> Iterator[str]:
    mirrors = options.get("mirrors") or {}
    places = [(f"mirrors, {_shown(channel)}", [channel, *(urls or [])]) for channel, urls in mirrors.items()]
    places += [(f"environment {e['name']}", e.get("channels") or []) for e in options.get("environments") or []]
    for place, addresses in places:
        if any(_holds_secret(address) for address in addresses):
            yield f"{place}: an address holds credentials, which logs and locks would show; give them in credentials"
    for channel, addresses in mirrors.items():
        local = [address for address in addresses or [] if address.startswith("file:")]
        if local and len(addresses) > 1:
            yield f"mirrors, {_shown(channel)}: a directory stands alone, it has no other mirrors beside it"
        yield from (
            f"mirrors, {_shown(channel)}: {address}: write file:///absolute/path, of letters, digits and . _ + -"
            for address in local
            if not _DIRECTORY.fullmatch(address)
        )


def _holds_secret(address: str) -> bool:
    parts = urllib.parse.urlsplit(address)
    return "@" in parts.netloc or bool(re.match(r"/t/[^/]+", parts.path)) or bool(parts.query)


def _shown(address: str) -> str:
    """Return an address without what may be a secret in it."""
    return re.sub(r"/t/[^/]+", "/t/...", re.sub(r"://[^/]*@", "://", address.partition("?")[0]))


def _check_credentials(entries: list[dict[str, Any]]) -> Iterator[str]:
    hosts = [entry["host"] for entry in entries]
    for host in sorted({h for h in hosts if hosts.count(h) > 1}):
        yield f"credentials of {_shown(host)}: given twice; a host has one"
    for entry in entries:
        place = f"credentials of {_shown(entry['host'])}"
        if not _HOST.fullmatch(entry["host"]):
            yield f"{place}: give the name of a host (or *.domain), without scheme, port and path"
        if sum(bool(entry.get(kind)) for kind in _KINDS) != 1:
            yield f"{place}: give one of username with password, token, conda_token"
        elif bool(entry.get("username")) != bool(entry.get("password")):
            yield f"{place}: username and password go together"


def _check_proxies(proxies: dict[str, Any]) -> Iterator[str]:
    for scheme in ("http", "https"):
        address = proxies.get(scheme)
        if not address:
            continue
        parts = urllib.parse.urlsplit(address)
        if "@" in parts.netloc:
            yield f"proxies.{scheme}: the address holds credentials, which logs would show; give username and password"
        elif parts.scheme not in ("http", "https") or not parts.hostname:
            yield f"proxies.{scheme}: {address}: write http://proxy.example.com:3128"
    if bool(proxies.get("username")) != bool(proxies.get("password")):
        yield "proxies: username and password go together"
    for entry in proxies.get("no_proxy") or []:
        if re.search(r"[/,\s]", entry):
            yield f"proxies.no_proxy: {entry!r}: an entry is one host, domain or address"


def _check_authorities(text: str) -> Iterator[str]:
    if "PRIVATE KEY" in text:
        yield "ca_certificates: there is a private key in it; give certificates only"
    elif text:
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=text)
        except (ssl.SSLError, ValueError):
            yield "ca_certificates: not certificates in PEM (-----BEGIN CERTIFICATE-----)"
