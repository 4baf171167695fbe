"""Rules as the console runs them: a thread that looks at events, and alerts that go out."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from undertone.console.web.follower import Follower
from undertone.console.web.metrics import ConsoleMetrics
from undertone.console.web.rules.file import Rules
from undertone.console.web.rules.sender import Sender
from undertone.console.web.rules.store import FILE, Held, Key, Store, data_of, open_database
from undertone.console.web.rules.watching import Watching
from undertone.messaging.settings import KafkaSettings
from undertone.webhooks.signature import Signer

_LISTED = 200
_COUNTED_S = 5.0
# What the page is told of what is met now; a rule that everybody meets is no alert.
_TOLD = 500


class RuleService:
    """From a file of rules to alerts. `tell` gets what is met now as JSON, from another thread."""

    def __init__(
        self,
        rules: Rules,
        signer: Signer | None,
        where: tuple[Path, KafkaSettings, str],
        metrics: ConsoleMetrics,
        tell: Callable[[str], None],
    ) -> None:
        folder, kafka, topic = where
        self._rules = rules
        self._metrics = metrics
        self._tell = tell
        self._database = open_database(folder / FILE)
        self._store = Store(self._database)
        self._watching = Watching(rules, self._store, topic, self._met)
        self._follower = Follower(kafka, [topic], self._watching, "rules")
        self._sender = Sender(self._store, rules.urls, signer, self._answered) if signer else None
        self._tasks: list[asyncio.Task[None]] = []
        for rule in rules.rules:
            metrics.rules_met.labels(rule.name)

    @property
    def alive(self) -> bool:
        """Whether rules are looked at and alerts sent."""
        return self._follower.alive and not any(task.done() for task in self._tasks)

    @property
    def started(self) -> bool:
        """Whether events that are written from now on are looked at."""
        return self._follower.started.is_set()

    @property
    def away(self) -> str:
        """Why events are not looked at now; empty where they are."""
        return f"rules: {self._follower.away}" if self._follower.away else ""

    def start(self) -> None:
        """Begin, in the console's event loop."""
        self._follower.start()
        self._tasks = [asyncio.create_task(self._count())]
        if self._sender:
            self._tasks.append(asyncio.create_task(self._sender.run()))

    async def stop(self) -> None:
        """End; what waits is sent after the next start."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.to_thread(self._follower.stop)
        self._database.close()

    def listed(self, call: str | None = None) -> dict[str, Any]:
        """The rules, and the newest alerts: of all calls, or of one."""
        alerts = [
            data_of(alert) | {"id": alert.id, "at": alert.moment_ms, "state": alert.state, "answer": alert.answer}
            for alert in self._store.newest(_LISTED, call)
        ]
        rules = [
            {"name": rule.name, "words": rule.words, "webhook": rule.name in self._rules.urls}
            for rule in self._rules.rules
        ]
        return {"rules": rules, "alerts": alerts, "away": self.away}

    def forget(self, call: str, at_ms: int) -> None:
        """Erase what is known of a call up to a moment."""
        self._store.forget(call, at_ms)

    def _met(self, met: dict[Key, Held]) -> None:
        for rule in self._rules.rules:
            self._metrics.rules_met.labels(rule.name).set(sum(key[0] == rule.name for key in met))
        found = sorted(met.items(), key=lambda one: -one[1].since_ms)[:_TOLD]
        self._tell(
            json.dumps(
                [
                    {"rule": rule, "call": call, "channel": channel, "since": held.since_ms, "reason": held.reason}
                    for (rule, call, channel), held in found
                ]
            )
        )

    def _answered(self, outcome: str) -> None:
        self._metrics.webhook_requests.labels(outcome).inc()

    async def _count(self) -> None:
        while True:
            self._metrics.alerts_waiting.set(await asyncio.to_thread(self._store.waiting))
            await asyncio.sleep(_COUNTED_S)
