"""The rights that the documentation asks for are enough: each service logs in to a Kafka that grants it no others."""

import os
import re
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path

import pytest
from kafka.admin import (
    ACL,
    ACLOperation,
    ACLPermissionType,
    ACLResourcePatternType,
    ResourcePattern,
    ResourceType,
)
from pydantic import SecretStr

from schemas.topics import Topics
from tests.producer.recordings import PHONE, UNDERTONE
from tests.support.installation import Installation, wait_for
from tests.support.paths import ROOT
from tests.support.streams import customer, cut
from trainer.rebuild.lease import Lease
from undertone.devbroker import broker
from undertone.inference.bundle import DEFAULT_BUNDLE, read_bundle
from undertone.messaging.clients import admin, idempotent_producer
from undertone.messaging.settings import KafkaSettings
from undertone.registry.contents import read_contents

PAGE = (ROOT / "docs" / "how-to" / "bring-your-own-kafka.md").read_text()
SERVICES = ("topics", "produce", "worker", "forget", "tail", "sink", "models", "trainer", "labels")
PASSWORD = "open-sesame"  # noqa: S105  not a real one
PREFIX = "site."

pytestmark = pytest.mark.slow


def granted(service: str) -> Iterator[ACL]:
    """What the table grants to `undertone SERVICE`."""
    row = re.search(rf"^\| `undertone {service}` \| (.*?) \|(.*?)\|$", PAGE, re.MULTILINE)
    assert row, service
    for clause in f"{row[1]};{row[2]}".split(";"):
        words = re.findall(r"\b(Read|Write|Create|Describe|DescribeConfigs)\b", clause)
        names = [topic.name for topic in Topics().all if "all six" in clause or f"`{topic.name}`" in clause]
        patterns = [ResourcePattern(ResourceType.TOPIC, PREFIX + name) for name in names]
        for kind, what, how in (
            (ResourceType.GROUP, "group", ACLResourcePatternType.LITERAL),
            (ResourceType.GROUP, "groups that begin with", ACLResourcePatternType.PREFIXED),
            (ResourceType.TRANSACTIONAL_ID, "transactional ids that begin with", ACLResourcePatternType.PREFIXED),
        ):
            patterns += [ResourcePattern(kind, PREFIX + name, how) for name in re.findall(rf"{what} `(.*?)`", clause)]
        for pattern in patterns:
            for word in words:
                operation = ACLOperation[re.sub(r"(?<=[a-z])(?=[A-Z])", "_", word).upper()]
                yield ACL(f"User:{service}", "*", operation, ACLPermissionType.ALLOW, pattern)


@pytest.fixture
def guarded(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[KafkaSettings, dict[str, str]]]:
    """A Kafka with ACLs: settings of its administrator, and the environment of services but for their name."""
    logins = " ".join(f'user_{service}="{PASSWORD}"' for service in SERVICES)
    guarded_port = broker.free_port(0)
    plain = broker.node_properties

    def properties(port: int, controller_port: int) -> dict[str, str]:
        ours = plain(port, controller_port)
        guarded = f",GUARDED://127.0.0.1:{guarded_port}"
        return ours | {
            "listeners": ours["listeners"] + guarded,
            "advertised.listeners": ours["advertised.listeners"] + guarded,
            "listener.security.protocol.map": ours["listener.security.protocol.map"] + ",GUARDED:SASL_PLAINTEXT",
            "sasl.enabled.mechanisms": "PLAIN",
            "listener.name.guarded.plain.sasl.jaas.config": (
                f"org.apache.kafka.common.security.plain.PlainLoginModule required {logins};"
            ),
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            # Who comes without a login: the test itself, and the broker.
            "super.users": "User:ANONYMOUS",
        }

    monkeypatch.setattr(broker, "node_properties", properties)
    with broker.local_broker() as kafka:
        yield (
            KafkaSettings(bootstrap_servers=kafka.bootstrap_servers, topic_prefix=PREFIX),
            os.environ
            | {
                "UNDERTONE_BOOTSTRAP_SERVERS": f"127.0.0.1:{guarded_port}",
                "UNDERTONE_TOPIC_PREFIX": PREFIX,
                "UNDERTONE_SECURITY_PROTOCOL": "SASL_PLAINTEXT",
                "UNDERTONE_SASL_MECHANISM": "PLAIN",
                "UNDERTONE_SASL_PLAIN_PASSWORD": PASSWORD,
            },
        )


def run(environment: Mapping[str, str], service: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    named = {"UNDERTONE_SASL_PLAIN_USERNAME": service, **environment}
    command = [*UNDERTONE, service, *arguments]
    return subprocess.run(command, env=named, capture_output=True, text=True, check=False, timeout=120)


def publish_as_trainers_do(bootstrap_servers: str) -> None:
    """Without the hour of training before it."""
    login = KafkaSettings(
        bootstrap_servers=bootstrap_servers,
        topic_prefix=PREFIX,
        security_protocol="SASL_PLAINTEXT",
        sasl_mechanism="PLAIN",
        sasl_plain_username="trainer",
        sasl_plain_password=SecretStr(PASSWORD),
    )
    read_contents(login)
    with Lease(login, 6) as lease:
        assert lease.take(60, lambda: False)
        lease.write([(b"no-version", None)])


def test_the_rights_of_the_page_are_enough(guarded: tuple[KafkaSettings, dict[str, str]], tmp_path: Path) -> None:
    settings, environment = guarded
    with closing(admin(settings)) as client:
        client.create_acls([acl for service in SERVICES for acl in granted(service)])
    done = run(environment, "topics", "--partitions", "2")
    assert done.returncode == 0, done.stderr

    topics = Topics(PREFIX)
    installation = Installation(settings, environment, topics, tmp_path)
    try:
        installation.worker(sasl_plain_username="worker").ready()
        done = run(environment, "produce", str(PHONE), "--speed", "max")
        assert done.returncode == 0, done.stdout + done.stderr
        assert "may not be read" not in done.stdout
        assert installation.events(2)[-1].data.type == "summary"
        done = run(environment, "forget", "--call-id", "phone")
        assert done.returncode == 0, done.stderr
        samples, rate = customer()
        installation.send(cut(samples, rate, rate // 2, call_id="open")[:4])
        installation.records(topics.worker_state.name, lambda found: any(r.key == b"open/customer" for r in found))
        done = run(environment, "forget", "--call-id", "open", "--end")
        assert done.returncode == 0, done.stderr
        done = run(environment, "tail", "--from", "start", "--until-end", "--format", "jsonl")
        assert done.returncode == 0, done.stderr
        assert '"call_id":"phone"' in done.stdout
        shipped = read_bundle(DEFAULT_BUNDLE).card.version
        for words in (("promote", shipped), ("list",)):
            done = run(environment, "models", *words)
            assert done.returncode == 0, done.stderr
        program = (
            "-c",
            "from undertone.cli.main import main; main()",
            "sink",
            "parquet",
            "--to",
            str(tmp_path / "kept"),
        )
        batches = {"sink_batch_s": 0.2, "sink_metrics_port": 0}
        sink = installation.worker("s1", program, sasl_plain_username="sink", **batches)
        wait_for(lambda: any(tmp_path.glob("kept/**/*.parquet")), "a file", said=sink.last_words)
        with closing(idempotent_producer(settings)) as producer:
            producer.send(topics.emotion_events.name, key=b"x", value=b"no event").get(60)
        assert len(installation.dead_letters(1)) == 1
        assert sink.stop() == 0
        with closing(idempotent_producer(settings)) as producer:
            producer.send(topics.emotion_labels.name, key=b"x", value=b"no label").get(60)
        dataset = ("--dataset", str(tmp_path / "labels"))
        done = run(environment, "trainer", "collect", "--until-end", "--metrics-port", "0", *dataset)
        assert done.returncode == 0, done.stdout + done.stderr
        assert len(installation.dead_letters(2)) == 2
        publish_as_trainers_do(environment["UNDERTONE_BOOTSTRAP_SERVERS"])
        done = run(environment, "labels", "forget", "--call-id", "phone", *dataset)
        assert done.returncode == 0, done.stderr
    finally:
        installation.close()
    # Without them it would not have worked.
    done = run({**environment, "UNDERTONE_SASL_PLAIN_USERNAME": "produce"}, "tail", "--until-end")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
