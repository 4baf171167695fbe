"""The model in use: a pinned bundle, or what the topic `models` says, at start and while the worker runs.

Where the alias `champion` names a version, that is it, whatever else is published; else it is the newest bundle.

Here is decided which bundle that is; `model_loading.py` loads it.
"""

import logging
from collections import deque
from contextlib import closing

from kafka.consumer.fetcher import ConsumerRecord
from kafka.errors import KafkaError

from schemas.aliases import Alias
from schemas.dead_letters import Rejected
from schemas.errors import UserError, one_line
from undertone.inference.bundle import DEFAULT_BUNDLE, read_bundle
from undertone.inference.class_prior import CARD, parse_prior
from undertone.inference.model import Model
from undertone.inference.routing import Route
from undertone.inference.trial import Trial
from undertone.messaging.clients import reader
from undertone.messaging.settings import KafkaSettings
from undertone.registry.signing import SigningSettings
from undertone.registry.state import Place, is_bundle
from worker.metrics import WorkerMetrics
from worker.model_loading import ModelLoader
from worker.model_topic import ModelTopic, records_of

log = logging.getLogger(__name__)

# Without a champion the newest bundle that can be used is taken at start; this many are looked at, 4 MB each.
_CANDIDATES = 3

Letters = list[tuple[ConsumerRecord, Rejected]]


class ModelFeed:
    """Follows the topic with a reader of its own, outside of the group: every worker reads it whole.

    Without the settings of a Kafka to follow, `current` stays what it is.
    """

    def __init__(
        self,
        current: Model,
        metrics: WorkerMetrics,
        kafka: KafkaSettings | None = None,
        prior: str = CARD,
        signing: SigningSettings | None = None,
        *,
        shadow: bool = False,
    ) -> None:
        """`prior` is the class prior that every model gets, as `parse_prior` takes it.

        `signing` says who must have signed the bundles of the topic; None: as the environment says. With `shadow` the
        challenger is wanted though no call goes to it.
        """
        shipped = read_bundle(DEFAULT_BUNDLE).card
        self._shipped = shipped.version
        signing = signing or SigningSettings.load()
        self._loader = ModelLoader(metrics, parse_prior(prior), signing, {shipped.network.sha256})
        self.current = current.with_prior(self._loader.prior)
        self.challenger: Model | None = None
        self._shadow = shadow
        self._kafka = kafka
        self._topic = ModelTopic(kafka) if kafka else None
        self._metrics = metrics
        self._on_trial: tuple[ConsumerRecord, Trial] | None = None
        self._offset = self._challenger_offset = -1  # of the two models' bundles
        self._refused: set[int] = set()  # offsets of bundles that cannot be used
        self._missed = ""  # the champion that is not on the topic, once that was told

    @classmethod
    def following(
        cls,
        kafka: KafkaSettings,
        metrics: WorkerMetrics,
        prior: str = CARD,
        signing: SigningSettings | None = None,
        *,
        shadow: bool = False,
    ) -> "ModelFeed":
        """Start from the champion, else from the newest bundle that can be used, else from the one that ships.

        Raises:
            UserError: no Kafka, or no such topic; `prior` names a label that the model does not know.
        """
        feed = cls(Model.load(), metrics, kafka, signing=signing, shadow=shadow)
        feed._loader.prior = parse_prior(prior)
        try:
            feed._start()
            # One that comes later may have other labels; a name that the first does not know is a slip of the pen.
            feed.current = feed.current.with_prior(feed._loader.prior)
        except (KafkaError, UserError):
            feed.close()
            raise
        return feed

    @property
    def route(self) -> Route:
        """Which calls new utterances of which take which model."""
        record = self._topic.state.aliases.get(Alias.CHALLENGER) if self._topic else None
        if record and record.share and self.challenger and self.challenger.card.version == record.version:
            return Route(self.current, self.challenger, record.share)
        return Route(self.current)

    def find(self, version: str) -> Model | None:
        """The model that a stream's state belongs to, if it ships or is still on the topic.

        Raises:
            KafkaTimeoutError: the topic cannot be read to its end now.
        """
        if version == self._shipped:
            return self._loader.with_prior(Model.load())
        if self._kafka is None:
            return None
        # Not with the reader that follows: what it has not seen yet is still to be taken up.
        newest = None
        with closing(reader(self._kafka)) as client:
            for record in records_of(self._kafka, client):
                if is_bundle(record) and record.key == version.encode():
                    newest = record
        loaded = self._loader.load(newest, chosen=self._is_chosen(newest)) if newest else None
        return loaded if isinstance(loaded, Model) else None

    @property
    def busy(self) -> bool:
        """Whether a bundle is being fetched or on trial: the next `poll` ought to come soon."""
        return self._on_trial is not None or (self._topic is not None and self._topic.fetching)

    def poll(self) -> Letters:
        """Take a step towards the bundle that is to be `current`; returns those that cannot be used.

        One at a time, and without waiting for Kafka or for a trial: calls go on being heard.
        """
        if self._topic is None:
            return []
        letters = self._step(self._topic)
        self._tell_champion(self._topic)
        return letters

    def close(self) -> None:
        """Stop following."""
        if self._on_trial:
            self._on_trial[1].stop()
        if self._topic:
            self._topic.close()

    def _step(self, topic: ModelTopic) -> Letters:
        if self._on_trial:
            record, trial = self._on_trial
            if not trial.done():
                return []
            self._on_trial = None
            return self._take(record, trial)
        letters: Letters = []
        if not topic.fetching:
            while record := topic.next():
                letters += self._note(topic, record)
                if not is_bundle(record):
                    self._follow_aliases(topic)  # before the champion's bundle, which is sent again behind an alias
                elif self._is_wanted(topic, record):
                    return letters + self._try(record)
            if place := self._wanted(topic):
                topic.ask(place)
        fetched = topic.fetched()
        return letters + self._try(fetched) if fetched else letters

    def _start(self) -> None:
        topic = self._topic
        if topic is None:
            return
        newest: deque[ConsumerRecord] = deque(maxlen=_CANDIDATES)
        for record in topic.read_all():
            self._note(topic, record)
            if is_bundle(record):
                newest.append(record)
        at_hand = {record.offset: record for record in newest}
        for place in self._candidates(topic):
            if place is None:  # it ships
                break
            found = at_hand.get(place.offset) or topic.fetch(place)
            if found and not self._take(found):
                break
        self._follow_aliases(topic)
        place = self._wanted(topic)
        if place and place.version == self._challenger(topic) and (found := topic.fetch(place)):
            self._take(found)
        self._tell_champion(topic)

    def _challenger(self, topic: ModelTopic) -> str | None:
        """The version of the challenger, where it has something to do here."""
        record = topic.state.aliases.get(Alias.CHALLENGER)
        champion = topic.state.named(Alias.CHAMPION)
        if record is None or champion in (None, record.version) or not (self._shadow or record.share):
            return None
        return record.version

    def _follow_aliases(self, topic: ModelTopic) -> None:
        """Take what is at hand already: a challenger that is the champion now, or the bundle that ships."""
        champion, challenger = topic.state.named(Alias.CHAMPION), self._challenger(topic)
        if self.challenger and self.challenger.card.version == champion != self.current.card.version:
            self.current, self._offset = self.challenger, self._challenger_offset
            log.info("model %s: the challenger is the champion", champion)
        elif champion == self._shipped != self.current.card.version:
            self.current, self._offset = self._loader.with_prior(Model.load()), -1
            log.info("model %s, the one that ships: it is the champion", self._shipped)
        if self.challenger and self.challenger.card.version != challenger:
            self.challenger, self._challenger_offset = None, -1
        if challenger == self._shipped and not self.challenger:
            self.challenger, self._challenger_offset = self._loader.with_prior(Model.load()), -1

    def _candidates(self, topic: ModelTopic) -> list[Place | None]:
        """What to start from, best first; None stands for the bundle that ships."""
        state = topic.state
        if state.named(Alias.CHAMPION) is None:
            return [*reversed(state.places[-_CANDIDATES:])]
        # Not a newer one where the champion cannot be used: nobody has chosen it.
        versions = [version for alias in (Alias.CHAMPION, Alias.PREVIOUS) if (version := state.named(alias))]
        places = (None if version == self._shipped else state.place(version) for version in versions)
        return [place for version, place in zip(versions, places, strict=True) if place or version == self._shipped]

    def _note(self, topic: ModelTopic, record: ConsumerRecord) -> Letters:
        try:
            topic.state.note(record)
        except UserError as error:
            return [(record, self._loader.reject(record, error))]
        return []

    def _is_wanted(self, topic: ModelTopic, record: ConsumerRecord) -> bool:
        """Whether a bundle that has just come is to be used."""
        return topic.state.named(Alias.CHAMPION) is None or self._is_chosen(record)

    def _wanted(self, topic: ModelTopic) -> Place | None:
        """The bundle to fetch, now that all records have been read: one that is to be current and is not."""
        state = topic.state
        if state.named(Alias.CHAMPION) is not None:
            places = [place for version in self._missing(topic) if (place := state.place(version))]
        else:
            places = state.places[-1:]
        known = self._refused | {self._offset, self._challenger_offset}
        return next((place for place in places if place.offset not in known), None)

    def _missing(self, topic: ModelTopic) -> list[str]:
        """Versions that are to be had from the topic: the champion first, then the challenger."""
        wanted = ((topic.state.named(Alias.CHAMPION), self.current), (self._challenger(topic), self.challenger))
        return [
            version
            for version, model in wanted
            if version not in (None, self._shipped) and (model is None or version != model.card.version)
        ]

    def _tell_champion(self, topic: ModelTopic) -> None:
        """Whether the champion is another one than the model in use, and nothing is under way to change that."""
        champion = topic.state.named(Alias.CHAMPION)
        behind = champion is not None and champion != self.current.card.version and not self.busy
        self._metrics.champion_refused.set(behind)
        missed = champion if behind and champion and not topic.state.place(champion) else ""
        if missed and missed != self._missed:
            log.error("the champion %s is not on models; %s stays", one_line(missed), self.current.card.version)
        self._missed = missed or ""
        challenger = self._challenger(topic)
        self._metrics.challenger_refused.set(challenger is not None and self.challenger is None and not self.busy)

    def _try(self, record: ConsumerRecord) -> Letters:
        """Begin a bundle's trial, or take it where it needs none."""
        if not self._loader.needs_trial(record):
            return self._take(record)
        self._on_trial = record, Trial(record.value)
        return []

    def _take(self, record: ConsumerRecord, trial: Trial | None = None) -> Letters:
        loaded = self._loader.load(record, trial, chosen=self._is_chosen(record))
        if isinstance(loaded, Rejected):
            self._refused.add(record.offset)
            return [(record, loaded)]
        if self._topic and loaded.card.version == self._challenger(self._topic):
            self.challenger, self._challenger_offset = loaded, record.offset
        else:
            self.current, self._offset = loaded, record.offset
        return []

    def _is_chosen(self, record: ConsumerRecord) -> bool:
        """Whether an alias has chosen a bundle, which it does by its key."""
        if not self._topic or self._topic.state.named(Alias.CHAMPION) is None:
            return False
        return (record.key or b"").decode(errors="replace") in self._missing(self._topic)
