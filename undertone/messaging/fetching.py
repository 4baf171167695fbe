"""When a consumer's fetches are sent and when they are answered, for whoever knows better than the client.

Written for kafka-python 3.0.12.
"""

from kafka import KafkaConsumer


def collect(consumer: KafkaConsumer, wait_ms: int, least_bytes: int, most_of_each: int) -> None:
    """Let the broker answer the fetches that are sent from now on when `least_bytes` are there, or the time is up.

    It gives `most_of_each` bytes of a partition. The client has no way to say it but when it is made.
    """
    consumer._fetcher.config.update(
        fetch_max_wait_ms=wait_ms, fetch_min_bytes=least_bytes, max_partition_fetch_bytes=most_of_each
    )


def partitions_behind(consumer: KafkaConsumer) -> int:
    """Of how many of its partitions there was more than a consumer has read, when their leaders last answered.

    Those count, too, whose leaders have not answered yet.
    """
    # A list of our own: the client's thread may change its one meanwhile.
    partitions = list(consumer._subscription.assignment.values())
    known = ((one.position, one.highwater) for one in partitions)
    return sum(end is None or bool(position and position.offset < end) for position, end in known)


def fetch_ahead(consumer: KafkaConsumer) -> None:
    """Send the next fetches now, so that the broker collects while what a poll has brought is worked on.

    By itself the client does so only where a poll did not have to wait. Else the broker begins to collect at the next
    poll: who works for 100 ms on what came in 150 ms then takes 250 ms for a turn, and what comes waits that long.
    """
    if not consumer._fetcher._completed_fetches:  # else there is enough at hand, which bounds the memory
        consumer._fetcher.send_fetches()
