"""A worker follows the alias `champion`, at start and while it runs, and keeps what it has where it cannot."""

import time
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from schemas.aliases import Alias, AliasRecord
from tests.support.crafted_networks import calls_itself, crafted, nothing
from tests.support.installation import Installation, wait_for
from tests.support.keys import base64_of, private_file
from tests.support.service import bundle_of, publish_model, value, working
from tests.support.streams import customer, cut, hear
from undertone.inference.bundle import DEFAULT_BUNDLE, read_bundle
from undertone.inference.engine import Engine
from undertone.inference.model import Model
from undertone.inference.signature import private_key, sign
from undertone.messaging.clients import idempotent_producer
from undertone.registry.changes import promote, publish, rollback
from worker.service import Worker

SHIPPED = read_bundle(DEFAULT_BUNDLE).card.version


def uses(worker: Worker, version: str) -> bool:
    return value(worker, "undertone_model_info", version=version) == 1


def name(installation: Installation, version: str, alias: Alias = Alias.CHAMPION) -> None:
    """An alias alone, as another program may write it."""
    record = AliasRecord(version=version, by="ann", at=datetime.now(UTC), alias=alias)
    publish_model(installation, alias.key.decode(), record.model_dump_json().encode())


def test_promote_and_rollback_reach_a_running_worker_at_the_next_utterance(
    installation: Installation, record_property: Callable[[str, object], None]
) -> None:
    samples, rate = customer()
    chunks = cut(samples, rate, rate // 2)
    with working(installation) as worker:
        publish_model(installation, "good", crafted(nothing, "good"))
        wait_for(lambda: uses(worker, "good"), "the newest, while no alias says otherwise")
        publish_model(installation, "better", bundle_of("better"))
        wait_for(lambda: uses(worker, "better"), "the newest")
        promote(installation.settings, "good", "ann")
        began = time.monotonic()
        wait_for(lambda: uses(worker, "good"), "the champion")
        record_property("promote_s", time.monotonic() - began)
        # What is newer than the champion is not for the workers to choose.
        publish_model(installation, "newest", bundle_of("newest"))
        installation.send(chunks[:9])
        wait_for(lambda: value(worker, "undertone_events_total", type="update") > 0, "the first utterance")
        rollback(installation.settings, "ann")
        began = time.monotonic()
        wait_for(lambda: uses(worker, "better"), "the previous one")
        record_property("rollback_s", time.monotonic() - began)
        installation.send(chunks[9:])
        events = installation.events(len(hear(Engine(Model.load()), chunks)))
        assert value(worker, "undertone_champion_refused") == 0
        assert value(worker, "undertone_dead_letters_total", reason="invalid_model") == 0
    utterances: dict[int, set[str]] = {}
    for event in events:
        if event.data.type != "summary":
            utterances.setdefault(event.data.start_sample, set()).add(event.data.model_version)
    first, *others = (utterances[start] for start in sorted(utterances))
    assert first == {"good"}
    assert others and all(versions == {"better"} for versions in others)
    with working(installation) as worker:
        assert uses(worker, "better"), "the champion at start, though others are newer"


def test_a_champion_that_cannot_be_used_leaves_the_model_in_place(installation: Installation) -> None:
    publish_model(installation, "good", bundle_of("good"))
    name(installation, "good")
    with working(installation) as worker:
        assert uses(worker, "good")
        assert value(worker, "undertone_champion_refused") == 0
        publish_model(installation, "crafted", crafted(calls_itself))
        name(installation, "crafted")
        wait_for(lambda: value(worker, "undertone_models_total", outcome="crashed") == 1, "the trial's verdict")
        wait_for(lambda: value(worker, "undertone_champion_refused") == 1, "the metric")
        assert uses(worker, "good")
        name(installation, "nowhere")
        (letter,) = installation.dead_letters(1)
        assert dict(letter.headers)["undertone_reason"] == b"invalid_model"
        # It is tried once, not again and again.
        assert value(worker, "undertone_models_total", outcome="crashed") == 1
        # A bundle that comes later is the champion that was named before.
        publish_model(installation, "nowhere", bundle_of("nowhere"))
        wait_for(lambda: uses(worker, "nowhere"), "the champion")
        assert value(worker, "undertone_champion_refused") == 0
        name(installation, "good")
        wait_for(lambda: uses(worker, "good"), "a champion that was published long ago")
        name(installation, SHIPPED)
        wait_for(lambda: uses(worker, SHIPPED), "the bundle that ships")
        assert value(worker, "undertone_champion_refused") == 0


def test_a_start_where_the_champion_cannot_be_used_takes_the_previous_one(installation: Installation) -> None:
    publish_model(installation, "good", bundle_of("good"))
    publish_model(installation, "damaged", b"no bundle")
    for version in ("x", "y", "z"):  # more than are at hand at the start
        publish_model(installation, version, bundle_of(version))
    name(installation, "good", Alias.PREVIOUS)
    name(installation, "damaged")
    with working(installation) as worker:
        assert uses(worker, "good")
        assert value(worker, "undertone_champion_refused") == 1
        assert value(worker, "undertone_models_total", outcome="invalid") == 1


def test_without_the_alias_the_newest_is_taken_again(installation: Installation) -> None:
    publish_model(installation, "good", bundle_of("good"))
    publish_model(installation, "newest", bundle_of("newest"))
    promote(installation.settings, "good", "ann")
    publish_model(installation, "newest", bundle_of("newest"))
    with working(installation) as worker:
        assert uses(worker, "good")
        publish_model(installation, "alias/champion", b"no alias")
        wait_for(lambda: value(worker, "undertone_models_total", outcome="invalid") == 1, "the bad alias")
        assert uses(worker, "good")
        with closing(idempotent_producer(installation.settings)) as producer:
            producer.send(installation.topics.models.name, key=Alias.CHAMPION.key, value=None).get(60)
        wait_for(lambda: uses(worker, "newest"), "the newest")


def test_a_model_that_is_published_where_there_is_a_champion_reaches_the_workers(installation: Installation) -> None:
    publish_model(installation, "good", bundle_of("good"))
    promote(installation.settings, "good", "ann")
    with working(installation) as worker:
        publish(read_bundle(bundle_of("trained")), installation.settings)
        wait_for(lambda: uses(worker, "trained"), "what the trainer has published")


def test_what_is_not_signed_as_it_must_be_is_not_used(
    installation: Installation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, other = (private_key(private_file(tmp_path, name)) for name in ("key.pem", "other.pem"))
    monkeypatch.setenv("UNDERTONE_MODEL_PUBLIC_KEY", base64_of(key.public_key()))
    publish_model(installation, "unsigned", bundle_of("unsigned"))
    with working(installation) as worker:
        assert uses(worker, SHIPPED)
        assert value(worker, "undertone_models_total", outcome="unsigned") == 1
        publish_model(installation, "ours", sign(bundle_of("ours"), key))
        wait_for(lambda: uses(worker, "ours"), "what is signed")
        publish_model(installation, "theirs", sign(bundle_of("theirs"), other))
        name(installation, "theirs")
        wait_for(lambda: value(worker, "undertone_champion_refused") == 1, "the metric")
        assert uses(worker, "ours")
        (letter,) = installation.dead_letters(1)
        assert b"not one of a trusted key" in dict(letter.headers)["undertone_detail"]
        assert value(worker, "undertone_models_total", outcome="unsigned") == 2
        assert value(worker, "undertone_models_total", outcome="crashed") == 0
