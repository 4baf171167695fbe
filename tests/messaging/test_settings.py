"""Settings: where they come from, and that every mistake is named in one line."""

import re

import pytest
from pydantic_core import PydanticUndefined

from schemas.errors import UserError
from tests.support.paths import ROOT
from trainer.collection.settings import TrainerSettings
from undertone.cli.log import LogSettings
from undertone.console.web.settings import ConsoleSettings
from undertone.gateway.settings import GatewaySettings
from undertone.messaging.clients import admin
from undertone.messaging.settings import OTHER_VARIABLES, KafkaSettings, Settings, reject_unknown_variables
from undertone.registry.signing import SigningSettings
from undertone.sinks.settings import SinkSettings
from worker.settings import WorkerSettings

SETTINGS = ROOT / "docs" / "reference" / "settings.md"
ALL = (
    KafkaSettings,
    WorkerSettings,
    GatewaySettings,
    SinkSettings,
    TrainerSettings,
    SigningSettings,
    ConsoleSettings,
    LogSettings,
)


class ServiceSettings(Settings):
    """Settings of a service, beside Kafka's."""

    batch_size: int = 32


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("UNDERTONE_BOOTSTRAP_SERVERS", raising=False)
    monkeypatch.delenv("KAFKA_BOOTSTRAP_SERVERS", raising=False)


def test_bootstrap_servers_come_from_the_option_then_ours_then_kafkas_then_the_default(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert KafkaSettings.load().bootstrap_servers == "127.0.0.1:9092"
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "b:2")
    assert KafkaSettings.load().bootstrap_servers == "b:2"
    monkeypatch.setenv("UNDERTONE_BOOTSTRAP_SERVERS", "a:1,a:2")
    assert KafkaSettings.load().bootstrap_servers == "a:1,a:2"
    assert KafkaSettings.load(bootstrap_servers="c:3").bootstrap_servers == "c:3"
    assert KafkaSettings.load(bootstrap_servers=None).client_options()["bootstrap_servers"] == ["a:1", "a:2"]


@pytest.mark.parametrize(
    ("variables", "told"),
    [
        ({"UNDERTONE_BOOTSTRAP_SERVERS": "kafka"}, "UNDERTONE_BOOTSTRAP_SERVERS: 'kafka' is not host:port"),
        ({"UNDERTONE_BOOTSTRAP_SERVERS": "a:1,"}, "UNDERTONE_BOOTSTRAP_SERVERS: '' is not host:port"),
        ({"KAFKA_BOOTSTRAP_SERVERS": "kafka:99999"}, "KAFKA_BOOTSTRAP_SERVERS: 'kafka:99999' is not host:port"),
        ({"UNDERTONE_SECURITY_PROTOCOL": "TLS"}, "UNDERTONE_SECURITY_PROTOCOL: input should be 'PLAINTEXT', 'SSL'"),
        ({"UNDERTONE_TOPIC_PREFIX": "a/b"}, "UNDERTONE_TOPIC_PREFIX: "),
        ({"UNDERTONE_SSL_CAFILE": "/no/such/file"}, "UNDERTONE_SSL_CAFILE: cannot read /no/such/file"),
        ({"UNDERTONE_SECURITY_PROTOCOL": "SASL_SSL"}, "needs UNDERTONE_SASL_MECHANISM"),
        (
            {"UNDERTONE_SECURITY_PROTOCOL": "SASL_SSL", "UNDERTONE_SASL_MECHANISM": "PLAIN"},
            "needs UNDERTONE_SASL_PLAIN_USERNAME and UNDERTONE_SASL_PLAIN_PASSWORD",
        ),
        (
            {"UNDERTONE_SASL_PLAIN_PASSWORD": "hunter2"},
            "UNDERTONE_SASL_PLAIN_PASSWORD is set, but UNDERTONE_SECURITY_PROTOCOL is PLAINTEXT",
        ),
    ],
)
def test_an_impossible_value_is_named_in_one_line(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], told: str
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(UserError) as caught:
        KafkaSettings.load()
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_an_impossible_option_is_named_as_the_option() -> None:
    with pytest.raises(UserError, match="--bootstrap-servers: 'x' is not host:port"):
        KafkaSettings.load(bootstrap_servers="x")


def test_a_misspelt_variable_is_named_with_the_right_spelling() -> None:
    with pytest.raises(UserError, match=r"UNDERTONE_BOOTSTRAP_SERVER .*did you mean UNDERTONE_BOOTSTRAP_SERVERS\?"):
        reject_unknown_variables(KafkaSettings, environ={"UNDERTONE_BOOTSTRAP_SERVER": "a:1"})


def test_the_variables_of_all_given_classes_are_known() -> None:
    environ = {"UNDERTONE_BATCH_SIZE": "8", "UNDERTONE_TOPIC_PREFIX": "x.", "UNDERTONE_HOME": "/x", "PATH": "/bin"}
    reject_unknown_variables(KafkaSettings, ServiceSettings, environ=environ)
    with pytest.raises(UserError, match="UNDERTONE_BATCH_SIZE"):
        reject_unknown_variables(KafkaSettings, environ=environ)


def test_an_empty_variable_counts_as_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNDERTONE_SASL_MECHANISM", "")
    assert KafkaSettings.load().sasl_mechanism is None


def test_the_password_reaches_the_client_and_no_log(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "SECURITY_PROTOCOL": "SASL_PLAINTEXT",
        "SASL_MECHANISM": "SCRAM-SHA-512",
        "SASL_PLAIN_USERNAME": "undertone",
        "SASL_PLAIN_PASSWORD": "hunter2",
    }.items():
        monkeypatch.setenv(f"UNDERTONE_{name}", value)
    settings = KafkaSettings.load()
    assert "hunter2" not in repr(settings) + str(settings) + settings.model_dump_json()
    options = settings.client_options()
    assert options["sasl_plain_password"] == "hunter2"  # noqa: S105  not a real one
    assert options["sasl_mechanism"] == "SCRAM-SHA-512"


def test_a_missing_kafka_is_one_line_that_says_what_to_do() -> None:
    # Port 9 (discard) is reserved and closed on any machine we know.
    with pytest.raises(UserError) as caught:
        admin(KafkaSettings(bootstrap_servers="127.0.0.1:9", connect_timeout_s=1))
    assert str(caught.value) == (
        "no Kafka at 127.0.0.1:9: start one with `undertone broker`, or set UNDERTONE_BOOTSTRAP_SERVERS"
    )


def test_the_settings_page_lists_every_variable_and_no_other() -> None:
    listed = re.findall(r"^\| `(UNDERTONE_\w+)` \|", SETTINGS.read_text(), flags=re.MULTILINE)
    assert len(listed) == len(set(listed))
    assert set(listed) == OTHER_VARIABLES.union(*(settings.variables() for settings in ALL))


def test_the_settings_page_tells_the_defaults_of_the_code() -> None:
    told = dict(re.findall(r"^\| `(UNDERTONE_\w+)` \| *`?([^|`]*?)`? *\|", SETTINGS.read_text(), flags=re.MULTILINE))
    for settings in ALL:
        for name, field in settings.model_fields.items():
            # What has no default of ours takes the client's, the system's or the host's, which the page says in words.
            if field.default is not None and field.default is not PydanticUndefined:
                default = str(field.default).lower() if isinstance(field.default, bool) else str(field.default)
                assert told[settings.prefix() + name.upper()] == default.removesuffix(".0"), name
