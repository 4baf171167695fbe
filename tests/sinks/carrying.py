"""Events on Kafka as workers write them, and sinks that carry them somewhere."""

import random
import re
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from kafka import KafkaProducer

from schemas.audio import Role
from schemas.events import STRUCTURED_HEADERS, AudioSpan, EventEnvelope, Relative, Segment, Summary, Update
from tests.support.installation import SESSION_TIMEOUT_S, Installation, WorkerProcess
from tests.support.service import get
from undertone.messaging.clients import transactional_producer

START = datetime(2026, 1, 1, 12, 30, tzinfo=UTC)
RATE = 8000
# A model may leave emotions out of its groups; those without one are weighed by the table of emotions.
GROUPS = {"angry": "negative", "happy": "positive", "neutral": "neutral"}
PROGRAM = ("-c", "from undertone.cli.main import main; main()", "sink")


def call_events(call_id: str, utterances: Sequence[str], start: datetime = START) -> list[EventEnvelope]:
    """The events of one stream: a second of speech for each label, with an update in its middle, and a summary."""
    common = {"call_id": call_id, "channel": "customer", "role": Role.CUSTOMER, "sample_rate": RATE}
    common |= {"level_dbfs": -23.5, "pitch_hz": None, "model_version": "v1", "arousal": 0.25, "valence": -0.5}
    said: list[Update | Segment | Summary] = []
    for number, label in enumerate(utterances):
        first = number * 2 * RATE
        voice = common | {"label": label, "probabilities": {label: 0.75, "neutral": 0.25}, "start_sample": first}
        audio = AudioSpan(topic="call-audio", partition=1, first_offset=number, last_offset=number + 1)
        voice |= {"group": GROUPS.get(label), "groups": {"negative": 0.75}, "relative": Relative(level=1.5)}
        said.append(Update(**voice, end_sample=first + RATE // 2, speech_s=0.5, audio=audio))
        said.append(Segment(**voice, end_sample=first + RATE, speech_s=1.0, audio=audio, ended_by="silence"))
    end = len(utterances) * 2 * RATE
    last = utterances[-1] if utterances else "no-speech"
    whole = {"start_sample": 0, "end_sample": end, "speech_s": float(len(utterances)), "segments": len(utterances)}
    said.append(Summary(**common, **whole, label=last, probabilities={last: 1.0} if utterances else {}, ended_by="end"))
    return [EventEnvelope.around(event, start) for event in said]


def columns_of(event: EventEnvelope) -> dict[str, Any]:
    """What an event's data say, in the columns of sinks; without where its audio lies."""
    data = event.data.model_dump(mode="json", exclude={"audio", "group", "groups", "relative"})
    relative = event.data.relative.model_dump() if event.data.relative else dict.fromkeys(Relative.model_fields)
    data |= {f"relative_{name}": value for name, value in relative.items()}
    return data | {"emotion_group": event.data.group, "emotion_groups": event.data.groups}


class Carrying:
    """The events of one test, and the sinks that it starts."""

    def __init__(self, installation: Installation) -> None:
        self.installation = installation
        self.topic = installation.topics.emotion_events.name
        self.sent: dict[str, EventEnvelope] = {}

    def sink(self, name: str, *arguments: str, **variables: object) -> WorkerProcess:
        """Start `undertone sink ARGUMENTS`; `variables` become UNDERTONE_<NAME>."""
        settings = {"sink_session_timeout_s": SESSION_TIMEOUT_S, "sink_metrics_port": 0} | variables
        return self.installation.worker(name, (*PROGRAM, *arguments), **settings)

    def send(self, events: Sequence[EventEnvelope]) -> None:
        """Write events in one transaction, as a worker does."""
        with self._producer() as producer:
            self._commit(producer, events)

    def send_raw(self, value: bytes | None, partition: int = 0) -> None:
        """Write a record that no worker writes."""
        with self._producer() as producer:
            producer.begin_transaction()
            producer.send(self.topic, key=b"raw", value=value, partition=partition)
            producer.commit_transaction()

    @contextmanager
    def load(self, calls: int, seconds: float) -> Iterator[threading.Thread]:
        """Write the events of many calls meanwhile; every fifth transaction is aborted and written again."""
        thread = threading.Thread(target=self._load, args=[calls, seconds], daemon=True)
        thread.start()
        yield thread
        thread.join(300)
        assert not thread.is_alive()

    def _load(self, calls: int, seconds: float) -> None:
        chance = random.Random(1)
        labels = ["angry", "calm", "happy", "neutral", "uncertain"]
        with self._producer() as producer:
            for number in range(calls):
                start = START + timedelta(minutes=7 * number)
                events = call_events(f"call-{number}", chance.choices(labels, k=chance.randrange(8)), start)
                if number % 5 == 0:
                    producer.begin_transaction()
                    self._write(producer, events)
                    producer.abort_transaction()
                self._commit(producer, events)
                time.sleep(seconds / calls)

    def _commit(self, producer: KafkaProducer, events: Sequence[EventEnvelope]) -> None:
        producer.begin_transaction()
        self._write(producer, events)
        producer.commit_transaction()
        self.sent |= {event.id: event for event in events}

    def _write(self, producer: KafkaProducer, events: Sequence[EventEnvelope]) -> None:
        for event in events:
            value = event.model_dump_json().encode()
            producer.send(self.topic, key=event.subject.encode(), value=value, headers=STRUCTURED_HEADERS)
        producer.flush()

    @contextmanager
    def _producer(self) -> Iterator[KafkaProducer]:
        name = f"{self.installation.settings.topic_prefix}test-{uuid.uuid4().hex[:8]}"
        with closing(transactional_producer(self.installation.settings, name)) as producer:
            producer.init_transactions()
            yield producer


def metric(sink: WorkerProcess, name: str) -> float:
    """The sum of a metric's series, as a sink that is ready tells it."""
    found = re.search(r"metrics (http://\S+)", sink.output)
    assert found, sink.output
    _, page = get(found[1])
    return sum(float(line.rsplit(" ", 1)[1]) for line in page.splitlines() if re.match(rf"{name}[ {{]", line))
