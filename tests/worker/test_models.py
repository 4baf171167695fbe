"""A bundle on `models` that crashes, hangs or is damaged: no worker ends of it, and each goes on with its model."""

import pytest

from tests.support.crafted_networks import calls_itself, crafted, nothing
from tests.support.installation import Installation, wait_for
from tests.support.service import bundle_of, publish_model, value, working
from tests.support.streams import customer, cut, hear, lines
from undertone.inference.bundle import DEFAULT_BUNDLE
from undertone.inference.engine import Engine
from undertone.inference.model import Model


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
