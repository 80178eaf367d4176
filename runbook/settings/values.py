"""The settings themselves. Names that end in ``_s`` are seconds, in ``_ms`` milliseconds, in ``_days`` days.

Figures come from the operators' contract (§1 to §8) unless a description says otherwise. The descriptions are the
text of the document.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from pydantic import Field, SecretStr

from gateway.settings.fields import Count, FilePath, Filled, FilledSecret, Host, Port, Seconds
from gateway.settings.section import Section
from runbook.settings.fields import (
    Command,
    Days,
    Directory,
    Escalation,
    FileOrUrl,
    HttpUrl,
    ImageTag,
    Key,
    Method,
    NotifyUrl,
    Origin,
    Ratio,
)
from runbook.settings.jobs import JobSettings
from runbook.settings.tokens import ApiToken, WrittenToken, api_token

_A_MINUTE: Final[dict[str, Any]] = {"unit": "a minute"}


class ApiSettings(Section):
    """The HTTP API and console, and the way to it."""

    host: Host = Field(default="127.0.0.1", description="Address that the API and the console listen on")
    port: Port = Field(default=9180, description="Their port; 0: a free one")
    tokens: list[WrittenToken] = Field(
        default_factory=list,
        description="Who may use the API: role:name:token, comma separated; a bare token is an operator (secret)",
    )
    token: FilledSecret | None = Field(
        default=None, description="Token for scripts that call the API, read by no command of ours (secret)"
    )
    cors_origins: list[Origin] = Field(
        default_factory=list,
        description="Origins of other pages that may call the API, comma separated; * for all; empty: none",
    )
    cors_methods: list[Method] = Field(
        default_factory=lambda: ["GET", "POST", "OPTIONS"], description="Methods that such pages may use"
    )
    script: FilePath | None = Field(
        default=None,
        description="Executable of the operators' old console; looked at by validate-env only, "
        "actions run in this process",
    )
    allow_public: bool = Field(
        default=False,
        description="Listen on a public address without tokens: whoever reaches it may then operate the gateway",
    )
    hosts: list[Host] = Field(
        default_factory=list,
        description="Host names that browsers may reach the console by, beside the loopback's, comma separated; "
        "empty: the loopback's alone while it listens there, any with tokens elsewhere",
    )
    proxies: list[Host] = Field(
        default_factory=list,
        description="Addresses of reverse proxies whose X-Forwarded-For and X-Forwarded-Proto count, comma separated",
    )
    secure_cookies: bool = Field(
        default=False,
        description="Cookies over https alone; over https they are so anyway. Set it behind a proxy with TLS",
    )
    session_s: Seconds = Field(default=43_200.0, description="A browser is asked for its token again after")
    logins_per_minute: Count = Field(
        default=10,
        description="Wrong tokens a minute from one address; ten times that from all",
        json_schema_extra=_A_MINUTE,
    )
    actions_per_minute: Count = Field(
        default=30, description="Changes that one person may ask for in a minute", json_schema_extra=_A_MINUTE
    )
    body_limit: Count = Field(
        default=262_144, description="Longest request body that is taken", json_schema_extra={"unit": "bytes"}
    )
    request_s: Seconds = Field(
        default=10.0, description="A client must send each request, and take each part of an answer, within"
    )
    streams: Count = Field(default=500, description="Most event streams at once", json_schema_extra={"unit": "streams"})

    def access(self) -> tuple[ApiToken, ...]:
        """Who may use the API, in the order written."""
        return tuple(api_token(written, number) for number, written in enumerate(self.tokens, 1))

    @classmethod
    def problems(cls, given: Mapping[str, object]) -> Iterator[tuple[str, str]]:
        written = given.get("tokens")
        names: set[str] = set()
        known: set[str] = set()
        for number, one in enumerate(written if isinstance(written, list) else (), 1):
            try:
                found = api_token(one if isinstance(one, SecretStr) else SecretStr(str(one)), number)
            except ValueError:
                continue  # its own finding
            if found.name in names:
                yield "tokens", f"has two entries of the same name (entry {number}); give each its own"
            if found.token.get_secret_value() in known:
                yield "tokens", f"has the same token twice (entry {number}); give everybody one of their own"
            names.add(found.name)
            known.add(found.token.get_secret_value())


class MetricsSettings(Section):
    """Where exit codes go, and where figures are read."""

    pushgateway_url: HttpUrl | None = Field(
        default=None, description="Pushgateway for exit codes; unset: nothing is pushed"
    )
    push_timeout_s: Seconds = Field(default=3.0, description="A push must be answered within")
    prometheus_url: HttpUrl | None = Field(default=None, description="Prometheus that summaries and checks read from")


class DrillSettings(Section):
    """What a drill expects, and how it measures."""

    expect_feed: Filled | None = Field(default=None, description="Feed that consumers must see; unset: the one in use")
    expect_account: Filled | None = Field(
        default=None, description="Account that the first stage must run on; unset: any"
    )
    health_cmd: Command | None = Field(
        default=None, description="Command that checks health; unset: the built-in check"
    )
    metrics_source: FileOrUrl | None = Field(
        default=None, description="File or address with the consumers' metrics; unset: NATS itself is asked"
    )
    consumer_backlog_threshold: Count = Field(
        default=2000, description="Most messages that may wait for a consumer", json_schema_extra={"unit": "messages"}
    )
    latency_limit_ms: Count = Field(default=5000, description="Longest failover or failback that passes, by tick times")


class VaultSettings(Section):
    """The Vault that ``runbook secrets pull`` reads. A token or an AppRole, not both."""

    addr: HttpUrl | None = Field(default=None, description="Address of Vault; unset: no Vault")
    token: FilledSecret | None = Field(default=None, description="Vault token (secret)")
    role_id: Filled | None = Field(default=None, description="AppRole role id")
    secret_id: FilledSecret | None = Field(default=None, description="AppRole secret id (secret)")
    namespace: Filled | None = Field(default=None, description="Vault namespace")
    mount: Filled = Field(default="secret", min_length=1, description="Mount of the KV version 2 engine")
    path: Filled = Field(default="ctp/live", min_length=1, description="Path below the mount")
    cacert: FilePath | None = Field(
        default=None, description="CA certificates (PEM) for https; unset: those of the system"
    )
    timeout_s: Seconds = Field(default=5.0, description="Vault must answer within")
    runtime_file: FilePath = Field(
        default=Path(".env.runtime"), description="File that pulled secrets are written to, readable by its owner only"
    )

    @classmethod
    def problems(cls, given: Mapping[str, object]) -> Iterator[tuple[str, str]]:
        present = {field for field, value in given.items() if value is not None}
        if ("role_id" in present) != ("secret_id" in present):
            have, lack = ("role_id", "secret_id") if "role_id" in present else ("secret_id", "role_id")
            yield lack, f"is missing beside {have}; an AppRole takes both"
        elif {"token", "role_id"} <= present:
            yield "token", "is set beside an AppRole; keep one of the two"
        login = sorted(present & {"token", "role_id", "secret_id"})
        if login and "addr" not in present:
            yield "addr", f"is missing beside {login[0]}; name the server, or remove its login"


class HealthSettings(Section):
    """When a subscription counts as healthy."""

    coverage_threshold: Ratio = Field(
        default=0.995, description="Least share of wanted contracts that must be subscribed"
    )
    lag_warning_s: Seconds = Field(default=60.0, description="A contract silent for so long in session is a warning")
    lag_critical_s: Seconds = Field(default=180.0, description="A contract silent for so long in session is critical")
    max_remediation_attempts: Count = Field(
        default=3, description="How often enforce subscribes anew before it escalates"
    )

    @classmethod
    def problems(cls, given: Mapping[str, object]) -> Iterator[tuple[str, str]]:
        yield from cls.ordered(given, "lag_warning_s", "lag_critical_s")


class EscalationSettings(Section):
    """Who is told when tries do not help."""

    command: Escalation | None = Field(
        default=None, description="Command after the last failed try; {marker} and {exit_code} are filled in"
    )
    after: Count = Field(default=3, description="Failures of a stage after which it runs")
    timeout_s: Seconds = Field(default=30.0, description="It must end within")


class StartSettings(Section):
    """How the environment is brought up."""

    tries: Count = Field(default=3, description="Tries of a stage")
    stage_timeout_s: Seconds = Field(default=60.0, description="Each try of a stage must end within")
    frozen_s: Seconds = Field(
        default=30.0, description="A process that lives and answers nothing for so long is killed and started again"
    )
    t5_lead_s: Seconds = Field(default=300.0, description="Everything must be ready this long before the market opens")


class NotifySettings(Section):
    """Where messages to people go."""

    urls: list[NotifyUrl] = Field(
        default_factory=list, description="Addresses as apprise writes them, comma separated (secret)"
    )
    dedupe_s: Seconds = Field(default=300.0, description="The same message is not sent again within")
    per_minute: Count = Field(
        default=10, description="Most messages a minute", json_schema_extra={"unit": "messages/minute"}
    )
    timeout_s: Seconds = Field(default=10.0, description="An address must take a message within")


class RetentionSettings(Section):
    """How long files are kept."""

    logs_days: Days = Field(default=30, description="Logs of the runbook")
    screenshots_days: Days = Field(default=7, description="Pictures")
    incidents_days: Days = Field(default=90, description="Incident reports")
    runs: Count = Field(
        default=1000, description="Finished runs whose answers are kept", json_schema_extra={"unit": "runs"}
    )


class RunbookSettings(Section):
    """Everything the runbook needs to know beyond the gateway's settings. Made in code it reads nothing.

    Made with bad values it raises pydantic's ValidationError, without the values in its text.
    """

    log_dir: Directory = Field(default=Path("logs/runbooks"), description="Directory of the runbook's logs")
    soak_dir: Directory = Field(
        default=Path("logs/soak"), description="Directory of soak reports, archived with the logs"
    )
    archive_dir: Directory = Field(default=Path("logs/archive"), description="Directory of archives")
    incident_dir: Directory = Field(default=Path("logs/incidents"), description="Directory of incident reports")
    state_dir: Directory = Field(
        default=Path("state/runbook"),
        description="Directory of audit, runs and jobs; on a local disk, for its owner only",
    )
    lock_path: FilePath | None = Field(
        default=None, description="Lock file for one action at a time; unset: runbook.lock in the state directory"
    )
    audit_dir: Directory | None = Field(
        default=None, description="Directory of the audit; unset: audit in the state directory"
    )
    audit_key: Key | None = Field(
        default=None,
        description="Key that the audit's chain is sealed with, 16 characters or more; unset: not sealed (secret)",
    )
    session_config: FilePath | None = Field(
        default=None, description="TOML file with the times of the day and night session; unset: the built-in times"
    )
    image_tag: ImageTag | None = Field(
        default=None, description="Tag of the image that this runs from, kept with the settings of a start; unset: none"
    )
    image_file: FilePath | None = Field(
        default=None, description="File that a rollback writes the image's tag to, for docker compose; unset: only said"
    )
    cancel_grace_s: Seconds = Field(
        default=10.0, description="An action gets this long to stop by itself once it has to"
    )
    api: ApiSettings = Field(default_factory=ApiSettings, description="API")
    metrics: MetricsSettings = Field(default_factory=MetricsSettings, description="Metrics")
    drill: DrillSettings = Field(default_factory=DrillSettings, description="Drills")
    vault: VaultSettings = Field(default_factory=VaultSettings, description="Vault")
    health: HealthSettings = Field(default_factory=HealthSettings, description="Health check")
    escalation: EscalationSettings = Field(default_factory=EscalationSettings, description="Escalation")
    start: StartSettings = Field(default_factory=StartSettings, description="Start")
    schedule: JobSettings = Field(default_factory=JobSettings, description="Schedule")
    notify: NotifySettings = Field(default_factory=NotifySettings, description="Notifications")
    retention: RetentionSettings = Field(default_factory=RetentionSettings, description="Retention")

    @property
    def lock_file(self) -> Path:
        """Where the lock of exclusive actions is."""
        return self.lock_path or self.state_dir / "runbook.lock"

    @property
    def audit_directory(self) -> Path:
        """Where the audit is."""
        return self.audit_dir or self.state_dir / "audit"
