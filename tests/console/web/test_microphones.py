"""What becomes of a microphone where Kafka is away: it is told so, and the next one is tried anew."""

import asyncio

import pytest
from prometheus_client import CollectorRegistry

from undertone.console.web.microphones import CALL_ID, Microphones
from undertone.gateway.refusals import Refusal, Refused
from undertone.gateway.websocket.sessions import close_of
from undertone.messaging.settings import KafkaSettings


def test_without_kafka_nobody_is_heard() -> None:
    async def begin() -> None:
        kafka = KafkaSettings(bootstrap_servers="127.0.0.1:9", connect_timeout_s=1)
        microphones = Microphones(kafka, "call-audio", CollectorRegistry(), most=1)
        for _ in range(2):
            with pytest.raises(Refused) as refused:
                await microphones.calls()
            assert refused.value.reason is Refusal.KAFKA_AWAY
            code, reason = close_of(refused.value)
            assert code == 1013
            assert "127.0.0.1:9" in reason
        microphones.close()

    asyncio.run(begin())


@pytest.mark.parametrize(
    "name", ["call-1", "try-", "try-1", f"try-{'0' * 31}", f"try-{'0' * 32}\n", f"xtry-{'0' * 32}"]
)
def test_other_calls_have_no_name_of_theirs(name: str) -> None:
    assert CALL_ID.fullmatch(f"try-{'0f' * 16}")
    assert not CALL_ID.fullmatch(name)
