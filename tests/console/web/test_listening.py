"""The sound of calls by HTTP, from a real Kafka: exact, in pieces, as long as the topic holds it, and for whom."""

import io
import wave

import httpx
import numpy as np
import pytest
from kafka import TopicPartition
from numpy.typing import NDArray

from schemas.topics import Topics
from tests.console.web.conftest import StartConsole
from tests.support.console import RATE, Speaker, chunks_of, publish, send_sound
from tests.support.installation import PATIENCE_S, wait_for
from undertone.console.web.spectrum import BANDS
from undertone.console.web.wav import HEADER, header, wanted
from undertone.messaging.clients import admin
from undertone.messaging.settings import KafkaSettings

SECONDS = 35
GAP = (12.0, 14.5)


def noise(seed: int) -> NDArray[np.int16]:
    return np.random.default_rng(seed).integers(-30_000, 30_000, SECONDS * RATE).astype(np.int16)


class Call:
    """A call of two channels on Kafka, beside another one in the same partitions; the agent came 3 s later."""

    def __init__(self, kafka: KafkaSettings, topics: Topics) -> None:
        self.customer, self.agent = Speaker("call-1"), Speaker("call-1", "agent", began_s=57.0)
        self.samples = noise(1)
        other = Speaker("call-2")
        lies = send_sound(
            kafka,
            topics.call_audio.name,
            chunks_of(self.customer, self.samples, GAP),
            chunks_of(self.agent, noise(2)[: 20 * RATE]),
            chunks_of(other, noise(3)),
        )
        spans = ((4, 9), (16, 21), (22, 30))
        events = [self.customer.event("segment", *it, audio=lies["call-1/customer"](*it)) for it in spans]
        events.append(self.customer.event("update", 31, SECONDS, audio=lies["call-1/customer"](31, SECONDS)))
        events.append(self.agent.event("segment", 6, 20, audio=lies["call-1/agent"](6, 20)))
        publish(kafka, topics.emotion_events.name, events)
        self.partitions = {name: lie(4, 9).partition for name, lie in lies.items()}
        self.from_ms = round(self.customer.began.timestamp() * 1000)
        self.query = {"from": self.from_ms, "to": self.from_ms + 1000 * SECONDS}
        heard = self.samples.copy()
        heard[int(GAP[0] * RATE) : int(GAP[1] * RATE)] = 0
        self.heard = heard


def get(url: str, query: dict[str, int], **headers: str) -> httpx.Response:
    return httpx.get(url, params=query, headers=headers, timeout=PATIENCE_S)


def test_a_call_is_heard_as_it_was(start_console: StartConsole, kafka_settings: KafkaSettings, topics: Topics) -> None:
    call = Call(kafka_settings, topics)
    console = start_console()
    url = f"{console.url}/api/calls/call-1/audio/customer.wav"
    wait_for(lambda: get(url, call.query).status_code == 200, "the call's events")
    whole = get(url, call.query)
    assert whole.headers["content-type"] == "audio/wav"
    with wave.open(io.BytesIO(whole.content)) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, RATE)
        samples = np.frombuffer(file.readframes(file.getnframes()), "<i2")
    np.testing.assert_array_equal(samples, call.heard)
    # As a player asks: from somewhere to the end, of which it gets half a minute at once.
    content, at = b"", 0
    while at < len(whole.content):
        piece = get(url, call.query, range=f"bytes={at}-")
        assert piece.status_code == 206
        assert piece.headers["content-range"] == f"bytes {at}-{at + len(piece.content) - 1}/{len(whole.content)}"
        content, at = content + piece.content, at + len(piece.content)
    assert content == whole.content
    for asked in ("0-0", "0-43", "43-45", "44-44", "45-45", "1001-77777", "-1", "-5001"):
        first, _, last = asked.partition("-")
        wanted_bytes = whole.content[int(first) : int(last) + 1] if first else whole.content[-int(last) :]
        assert get(url, call.query, range=f"bytes={asked}").content == wanted_bytes
    assert get(url, call.query, range="bytes=9999999-").status_code == 416
    # A part of the call, on the clock of the call: the agent came three seconds later.
    window = {"from": call.from_ms + 1000, "to": call.from_ms + 8000}
    agent = get(f"{console.url}/api/calls/call-1/audio/agent", window).content
    samples = np.frombuffer(agent[HEADER:], "<i2")
    assert not samples[: 2 * RATE].any()
    np.testing.assert_array_equal(samples[2 * RATE :], noise(2)[: 5 * RATE])
    peaks = get(f"{console.url}/api/calls/call-1/peaks/customer", call.query).json()
    points = len(peaks["peaks"]) // SECONDS
    assert (peaks["ms"], points) == (50, 20)
    gap = range(int(GAP[0] * points), int(GAP[1] * points))
    assert {number for number, peak in enumerate(peaks["peaks"]) if peak is None} == set(gap)
    assert peaks["peaks"][7] == np.abs(call.samples[7 * 400 :][:400].astype(int)).max() * 1000 // 32768
    answer = get(f"{console.url}/api/calls/call-1/spectrum/customer", call.query)
    assert (answer.headers["x-point-ms"], answer.headers["x-bands"]) == ("50", str(BANDS))
    bands = np.frombuffer(answer.content, np.uint8).reshape(-1, BANDS)
    assert set(np.flatnonzero(bands.max(axis=1) == 0)) == set(gap)
    assert bands[7].min() > 100
    assert console.output.count("'console' (operate, 127.0.0.1) listens to call-1/customer") == 1
    assert console.output.count(" listens to ") == 2


def test_what_cannot_be_heard_is_refused(
    start_console: StartConsole, kafka_settings: KafkaSettings, topics: Topics
) -> None:
    speaker = Speaker("call-1")
    lies = send_sound(kafka_settings, topics.call_audio.name, chunks_of(speaker, noise(1)[: 2 * RATE]))
    event = speaker.event("segment", 0, 2, audio=lies["call-1/customer"](0, 2))
    publish(kafka_settings, topics.emotion_events.name, [event])
    url = f"{start_console().url}/api/calls/"
    now = round(speaker.began.timestamp() * 1000)
    good = f"from={now}&to={now + 1000}"
    wait_for(
        lambda: httpx.get(f"{url}call-1/peaks/customer?{good}", timeout=PATIENCE_S).status_code == 200, "the event"
    )
    for path, answer in (
        (f"call-1/audio/nobody?{good}", 404),
        (f"call-9/audio/customer?{good}", 404),
        (f"call-1/audio/customer?from={now}", 400),
        (f"call-1/audio/customer?from={now}&to=0", 400),
        (f"call-1/audio/customer?from=-1&to={now}", 400),
        (f"call-1/audio/customer?from=0&to={now}", 400),
        (f"call-1/audio/customer?from={now}&to={'9' * 30}", 400),
        (f"call-1/peaks/customer?from={now}&to={now + 200_000}", 400),
    ):
        assert httpx.get(url + path, timeout=PATIENCE_S).status_code == answer, path


def test_what_kafka_has_deleted_is_gone(
    start_console: StartConsole, kafka_settings: KafkaSettings, topics: Topics
) -> None:
    call = Call(kafka_settings, topics)
    url = f"{start_console().url}/api/calls/call-1/audio/customer"
    wait_for(lambda: get(url, call.query).status_code == 200, "the call's events")
    partition = TopicPartition(topics.call_audio.name, call.partitions["call-1/customer"])
    with admin(kafka_settings) as client:
        client.delete_records({partition: -1})
    assert get(url, call.query).status_code == 410


def test_who_may_only_watch_hears_nothing(
    start_console: StartConsole, kafka_settings: KafkaSettings, topics: Topics
) -> None:
    call = Call(kafka_settings, topics)
    console = start_console("--port", "0", watch_token="look", label_token="listen")  # noqa: S106  a test's own
    for kind in ("audio", "peaks", "spectrum"):
        url = f"{console.url}/api/calls/call-1/{kind}/customer"
        assert get(url, call.query).status_code == 401
        assert get(url, call.query, authorization="Bearer look").status_code == 403
        heard = {"authorization": "Bearer listen"}
        wait_for(lambda: get(url, call.query, **heard).status_code == 200, "the call's events")  # noqa: B023
    may = [get(f"{console.url}/api/me", {}, authorization=f"Bearer {token}").json() for token in ("look", "listen")]
    assert [one["may"] for one in may] == [["watch"], ["watch", "label"]]
    with httpx.Client(base_url=console.url, timeout=PATIENCE_S) as browser:
        browser.post("/login", data={"token": "listen", "name": " Ann \n Müller"})
        me = browser.get("/api/me").json()
        assert (me["name"], me["may"]) == ("Ann  Müller", ["watch", "label"])
        assert browser.get(f"/api/calls/call-1/audio/customer?from={call.from_ms}&to={call.from_ms + 1}").is_success
        # The role is signed, too.
        (name, cookie), *_ = browser.cookies.items()
    forged = cookie.replace(".label.", ".operate.")
    as_forged = httpx.get(f"{console.url}/api/me", headers={"Cookie": f"{name}={forged}"}, timeout=PATIENCE_S)
    assert as_forged.status_code == 401
    assert "'Ann  Müller' (label, 127.0.0.1) listens to call-1/customer" in console.output


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (None, None), ("", None), ("bytes=-", None), ("lines=0-5", None), ("bytes=0-5,7-9", None), ("bytes=7-3", None),
        ("bytes=0-", (0, 100)), ("bytes=0-0", (0, 1)), ("bytes=90-200", (90, 100)), ("bytes=-7", (93, 100)),
        ("bytes=-700", (0, 100)),
    ],
)  # fmt: skip
def test_which_bytes_are_wanted(text: str | None, found: tuple[int, int] | None) -> None:
    assert wanted(text, 100) == found


def test_bytes_that_are_not_there() -> None:
    for text in ("bytes=100-", "bytes=-0"):
        with pytest.raises(ValueError, match="of 100"):
            wanted(text, 100)
    assert len(header(7, 8000)) == HEADER
