"""A bundle on `models` that crashes, hangs or is damaged: no worker ends of it, and each goes on with its model."""

import pytest

from schemas.card import CalibrationSpec
from schemas.errors import UserError
from tests.support.crafted_networks import calls_itself, crafted, nothing
from tests.support.installation import Installation, wait_for
from tests.support.service import bundle_of, publish_model, value, working
from tests.support.streams import customer, cut, hear, lines
from undertone.inference.bundle import DEFAULT_BUNDLE
from undertone.inference.engine import Engine
from undertone.inference.model import Model
from undertone.registry.signing import SigningSettings
from worker.metrics import WorkerMetrics
from worker.model_loading import ModelLoader
from worker.models import ModelFeed
from worker.settings import WorkerSettings


def test_a_bundle_that_crashes_its_reader_ends_no_worker(
    installation: Installation, caplog: pytest.LogCaptureFixture
) -> None:
    shipped = Model.load().card.version
    samples, rate = customer()
    chunks = cut(samples, rate, rate // 2)
    alone = lines(hear(Engine(Model.load()), chunks))
    damaged = bytearray(DEFAULT_BUNDLE.read_bytes())
    damaged[60:90] = bytes(30)  # zlib finds out, not zipfile
    with working(installation) as worker:
        installation.send(chunks[:9])
        publish_model(installation, "damaged", bytes(damaged))
        publish_model(installation, "crafted", crafted(calls_itself))
        wait_for(lambda: value(worker, "undertone_models_total", outcome="crashed") == 1, "the trial's verdict")
        assert value(worker, "undertone_models_total", outcome="invalid") == 1
        installation.send(chunks[9:])
        assert lines(installation.events(len(alone))) == alone
        letters = installation.dead_letters(2)
        assert value(worker, "undertone_model_info", version=shipped) == 1
    details = [dict(letter.headers)["undertone_detail"].decode() for letter in letters]
    assert sum("SIGSEGV" in detail for detail in details) == 1
    (told,) = [record.getMessage() for record in caplog.records if "SIGSEGV" in record.getMessage()]
    assert "offset 1" in told and told.isprintable()
    with working(installation) as worker:  # nor at its next start
        assert value(worker, "undertone_models_total", outcome="crashed") == 1
        assert value(worker, "undertone_model_info", version=shipped) == 1


def test_a_new_network_is_taken_up_after_its_trial(installation: Installation) -> None:
    with working(installation) as worker:
        publish_model(installation, "new-network", crafted(nothing, "new-network"))
        wait_for(lambda: value(worker, "undertone_model_info", version="new-network") > 0, "the new model")
        publish_model(installation, "new-card", bundle_of("new-card"))
        wait_for(lambda: value(worker, "undertone_model_info", version="new-card") > 0, "the new card")
    with working(installation) as worker:
        assert value(worker, "undertone_model_info", version="new-card") > 0


def test_every_model_of_a_worker_has_the_class_prior_that_was_set(installation: Installation) -> None:
    prior = "neutral=0.95"
    samples, rate = customer()
    chunks = cut(samples, rate, rate // 2)
    alone = lines(hear(Engine(Model.load(bundle_of("new-card")).with_prior(prior)), chunks))
    assert alone != lines(hear(Engine(Model.load(bundle_of("new-card"))), chunks))
    with working(installation, class_prior=prior) as worker:
        publish_model(installation, "new-card", bundle_of("new-card"))
        wait_for(lambda: value(worker, "undertone_model_info", version="new-card") > 0, "the new card")
        installation.send(chunks)
        assert lines(installation.events(len(alone))) == alone


def test_a_class_prior_of_labels_that_the_model_does_not_know_ends_the_start_with_one_line(
    installation: Installation,
) -> None:
    with pytest.raises(UserError, match="class prior: the model knows no nuetral"):
        ModelFeed.following(installation.settings, WorkerMetrics(), "nuetral=0.6")
    with pytest.raises(UserError, match="class prior"):
        WorkerSettings.load(class_prior="neutral=much")
    with pytest.raises(UserError, match="the model knows no nuetral"):
        ModelFeed(Model.load(), WorkerMetrics(), prior="nuetral=0.6")


def test_a_later_model_without_a_label_of_the_class_prior_is_taken_up_all_the_same() -> None:
    model = Model.load()
    prior = {"neutral": 0.5, "sad": 0.1}
    loader = ModelLoader(WorkerMetrics(), prior, SigningSettings.load(), set())
    labels = tuple("gloomy" if label == "sad" else label for label in model.card.labels)
    changes = {"labels": labels, "calibration": CalibrationSpec(), "caller": None}
    other = model.with_card(model.card.model_copy(update=changes))
    assert loader.with_prior(other).class_prior["neutral"] == pytest.approx(0.5)
