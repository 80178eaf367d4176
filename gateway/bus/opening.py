"""From settings to a bus that is open: the bundled server when no URL is set, an external one otherwise."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import Any

from pydantic import SecretStr

from gateway.bus.memory import MemoryBus
from gateway.bus.nats import NatsBus, NatsOptions
from gateway.bus.server import BundledServer, ServerOptions
from gateway.ports import Bus
from gateway.settings import BusSettings


async def open_bus(stack: AsyncExitStack, rules: BusSettings, name: str) -> tuple[Bus, str | None]:
    """The bus, and the URL for consumers (None for a memory bus). ``stack`` closes both. Raises BusError."""
    if rules.kind == "memory":
        memory = MemoryBus()
        stack.push_async_callback(memory.aclose)
        await memory.start()
        return memory, None
    urls = tuple(rules.urls)
    if not urls:
        server = BundledServer(
            ServerOptions(host=rules.bundled_host, port=rules.bundled_port, directory=rules.store_dir)
        )
        await stack.enter_async_context(server)
        urls = (server.url,)
    bus = NatsBus(nats_options(rules, urls, name))
    stack.push_async_callback(bus.aclose)
    await bus.start()
    return bus, urls[0]


def nats_options(rules: BusSettings, urls: tuple[str, ...], name: str) -> NatsOptions:
    """How to reach the servers at ``urls``."""
    return NatsOptions(urls=urls, name=name, **nats_login(rules))


def nats_login(rules: BusSettings) -> dict[str, Any]:
    """Everything about the way in but the address, as fields of NatsOptions."""
    return {
        "user": rules.user,
        "password": _clear(rules.password),
        "token": _clear(rules.token),
        "creds_file": rules.creds_file,
        "tls_ca": rules.tls_ca,
        "tls_cert": rules.tls_cert,
        "tls_key": rules.tls_key,
        "connect_timeout": rules.connect_timeout_s,
    }


def _clear(secret: SecretStr | None) -> str | None:
    return secret.get_secret_value() if secret is not None else None
