"""What people said that calls sound like: labels from Kafka, with their audio, as a folder that `--data` takes.

A label names an event, or a stretch of a stream; the event says where its audio lies in `call-audio`. A label that
cannot be used is counted and goes to `dead-letters`, once. A record without a value is a tombstone: all labels of the
call, or the stream, that its key names are left out, and its audio is deleted from the folder.
"""

import csv
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path

import soundfile
from kafka import KafkaConsumer, OffsetAndMetadata, TopicPartition
from kafka.consumer.fetcher import ConsumerRecord
from kafka.errors import KafkaError
from pydantic import ValidationError

from schemas.dead_letters import Rejected
from schemas.errors import UserError
from schemas.events import EventEnvelope
from schemas.labels import EmotionLabel, LabelEnvelope
from schemas.topics import Topics
from trainer.data.stretches import Stretch, read_label, samples_of, stretch_of
from undertone.messaging.clients import idempotent_producer, reader
from undertone.messaging.dead_letters import dead_letter
from undertone.messaging.reading import partitions_of, read_to_end
from undertone.messaging.settings import KafkaSettings

_SEND_TIMEOUT_S = 30
_CORPUS = "labels"


@dataclass(slots=True)
class Collected:
    """What came of the labels: `manifest` names the files; `left_out` counts labels that are not used, by reason."""

    manifest: Path
    files: int = 0
    left_out: Counter[str] = field(default_factory=Counter)


def collect(settings: KafkaSettings, folder: Path) -> Collected:
    """Read all labels, find their audio, and write one WAV each and a manifest.csv into `folder`.

    Where people disagree on one stretch, it is left out; of one person the newest label counts. WAV files of an
    earlier run that are not written again are deleted.

    Raises:
        UserError: no Kafka, or a folder that cannot be written.
    """
    topics = Topics(settings.topic_prefix)
    found = Collected(folder / "manifest.csv")
    # A group of its own, which remembers up to where bad labels have been reported.
    with closing(reader(settings, group_id=f"{settings.topic_prefix}undertone-trainer")) as client:
        partitions = partitions_of(client, topics.emotion_labels.name)
        records, forgotten = _remembered(read_to_end(settings, client, partitions))
        found.left_out.update({"forgotten": forgotten} if forgotten else {})
        labels, rejected = _parse(records)
        read = {partition: client.position(partition) for partition in partitions}
        events = _events(settings, client, topics, {label.event_id for _, label in labels if label.event_id})
        said: dict[Stretch, dict[str, str]] = {}
        for record, label in labels:
            try:
                stretch = stretch_of(label, events.get(label.event_id or ""))
                opinions = said.setdefault(stretch, {})
                # A label that comes after it counts again.
                opinions.pop(label.labelled_by, None)
                opinions |= {} if label.withdrawn else {label.labelled_by: label.emotion}
            except Rejected as reason:
                rejected.append((record, reason))
        found.left_out.update(str(reason.reason) for _, reason in rejected)
        _report(client, settings, topics, rejected, read)
        _write(client, topics, said, found)
    return found


def _remembered(records: Iterable[ConsumerRecord]) -> tuple[list[ConsumerRecord], int]:
    """The records of calls that are not to be forgotten, and the number of the others.

    Wherever the tombstone stands: who is forgotten stays so, also if somebody labels the call again.
    """
    labels: list[ConsumerRecord] = []
    tombstones: set[bytes] = set()
    for record in records:
        if record.value is None:
            tombstones.add(record.key)
        else:
            labels.append(record)
    kept = [record for record in labels if not (tombstones and tombstones.intersection(_names(record)))]
    return kept, len(labels) - len(kept)


def _names(record: ConsumerRecord) -> Iterator[bytes]:
    """What a tombstone may call a label's call and stream: by the record's key, and by what the label says."""
    keys = {record.key or b""}
    with suppress(ValidationError):
        data = LabelEnvelope.model_validate_json(record.value).data
        keys.add(f"{data.call_id}/{data.channel}".encode())
    for key in keys:
        yield key
        yield key.partition(b"/")[0]


def _parse(
    records: Iterable[ConsumerRecord],
) -> tuple[list[tuple[ConsumerRecord, EmotionLabel]], list[tuple[ConsumerRecord, Rejected]]]:
    good, bad = [], []
    for record in records:
        try:
            good.append((record, read_label(record).data))
        except Rejected as reason:
            bad.append((record, reason))
    return good, bad


def _events(
    settings: KafkaSettings, client: KafkaConsumer, topics: Topics, wanted: set[str]
) -> dict[str, EventEnvelope]:
    """The events that labels name."""
    if not wanted:
        return {}
    found = {}
    for record in read_to_end(settings, client, partitions_of(client, topics.emotion_events.name)):
        try:
            event = EventEnvelope.model_validate_json(record.value or b"")
        except ValidationError:
            continue  # another producer's; nobody labelled it, for its id cannot be known
        if event.id in wanted:
            found[event.id] = event
    return found


def _report(
    client: KafkaConsumer,
    settings: KafkaSettings,
    topics: Topics,
    rejected: list[tuple[ConsumerRecord, Rejected]],
    read: Mapping[TopicPartition, int],
) -> None:
    """Dead letters for the labels that are bad, unless an earlier run has reported them; `read` says up to where."""
    reported = {partition: client.committed(partition) or 0 for partition in read}
    new = [(r, why) for r, why in rejected if r.offset >= reported[TopicPartition(r.topic, r.partition)]]
    if new:
        with closing(idempotent_producer(settings)) as producer:
            try:
                for record, why in new:
                    key, value, headers = dead_letter(record, why, "trainer", with_value=settings.dead_letter_values)
                    sent = producer.send(topics.dead_letters.name, key=key, value=value, headers=headers)
                    sent.get(timeout=_SEND_TIMEOUT_S)
            except KafkaError as error:
                raise UserError(f"{topics.dead_letters.name}: Kafka did not take a dead letter ({error})") from None
    # After the letters: a crash in between repeats them, which is better than losing one.
    client.assign(list(read))
    client.commit({partition: OffsetAndMetadata(end, "", -1) for partition, end in read.items()})


def _write(client: KafkaConsumer, topics: Topics, said: dict[Stretch, dict[str, str]], found: Collected) -> None:
    try:
        found.manifest.parent.mkdir(parents=True, exist_ok=True)
        with found.manifest.open("w", newline="", encoding="utf-8") as file:
            rows = csv.writer(file)
            rows.writerow(("path", "emotion", "speaker", "corpus", "licence"))
            for stretch, opinions in said.items():
                if not opinions:
                    continue  # all of it was taken back
                if len(set(opinions.values())) > 1:
                    found.left_out["people disagree"] += 1
                    continue
                samples = samples_of(client, topics, stretch)
                if samples is None:
                    found.left_out["audio has expired"] += 1
                    continue
                name = f"{found.files:05d}.wav"
                soundfile.write(found.manifest.parent / name, samples, stretch.rate, subtype="PCM_16")
                # The caller's name is not known; nobody else speaks on this side of this call.
                rows.writerow((name, next(iter(opinions.values())), stretch.stream, _CORPUS, "your calls"))
                found.files += 1
        for path in found.manifest.parent.glob("[0-9][0-9][0-9][0-9][0-9].wav"):
            if int(path.stem) >= found.files:
                path.unlink()
    except OSError as error:
        raise UserError(f"{found.manifest.parent}: cannot write labelled audio there ({error.strerror})") from None
