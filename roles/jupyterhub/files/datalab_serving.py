"""How the hub is reached: proxy, addresses, cookies, headers, database."""

from __future__ import annotations

from typing import Any

# What every page of the hub carries. JupyterHub adds its Content-Security-Policy (frame-ancestors 'none') itself.
HEADERS = {
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Referrer-Policy": "same-origin",
    "Server": "JupyterHub",
    "X-Content-Type-Options": "nosniff",
}


def database_url(database: dict[str, Any]) -> str:
    """Where the hub keeps users, tokens and servers. The password is not in here: libpq reads it from the passfile."""
    if not database:
        return "sqlite:////var/lib/jupyterhub/jupyterhub.sqlite"
    place = f"{database['user']}@{database['host']}:{database['port']}/{database['name']}"
    verified = "sslmode=verify-full&sslrootcert=/etc/jupyterhub/database-ca.pem"
    return f"postgresql+psycopg2://{place}?{verified}&passfile=/etc/jupyterhub/secrets/pgpass&connect_timeout=10"


def configure(c: Any, settings: dict[str, Any]) -> None:
    """Add this part to the hub's configuration `c`."""
    # The proxy is a unit of its own: the hub neither starts nor stops it.
    c.JupyterHub.bind_url = f"https://:{settings['https_port']}"
    c.ConfigurableHTTPProxy.should_start = False
    c.ConfigurableHTTPProxy.api_url = "http://127.0.0.1:8001"
    c.JupyterHub.hub_bind_url = "http://127.0.0.1:8081"
    c.JupyterHub.cleanup_servers = False
    # A proxy that was restarted knows no server; the hub notices at its next look, which is by default 5 minutes away.
    c.JupyterHub.last_activity_interval = 10
    c.JupyterHub.db_url = database_url(settings["database"])
    c.JupyterHub.upgrade_db = True  # only when a newer hub needs it; a sqlite file is copied beside itself before
    c.JupyterHub.cookie_secret_file = "/var/lib/jupyterhub/cookie_secret"  # noqa: S105 - a path
    c.JupyterHub.shutdown_on_logout = False
    if settings["acme_port"]:
        # The client listens there while it answers a challenge. Below 1024, so that no member can answer in its place.
        challenges = f"http://127.0.0.1:{settings['acme_port']}"
        c.ConfigurableHTTPProxy.extra_routes = {"/.well-known/acme-challenge/": challenges}
    headers = dict(HEADERS)
    if settings["hsts_seconds"]:
        headers["Strict-Transport-Security"] = f"max-age={settings['hsts_seconds']}"
    c.JupyterHub.tornado_settings = {"headers": headers, "cookie_options": {"secure": True, "samesite": "Lax"}}
