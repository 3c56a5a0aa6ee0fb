"""Under load: bounded queues, deadlines, fair turns, and models that change meanwhile."""

from __future__ import annotations

import asyncio
import shutil
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

import lampblack
from lampblack.exceptions import InvalidInput
from lampblack.service.batching import Batcher
from lampblack.service.engine import Engine, load_engine
from tests.service.conftest import as_json, rows, serving

NEW = rows(20, seed=5)
ROW = {"rows": as_json(NEW.head(1))}


class Slow:
    """Scores when it is let; the numbers of the first column are the scores."""

    def __init__(self, engine: Engine, *, seconds: float = 0.0) -> None:
        self.kind, self.schema, self.calibration = engine.kind, engine.schema, engine.calibration
        self.reading: dict[str, Any] = {}
        self.let, self.seconds = threading.Event(), seconds
        self.sizes: list[int] = []

    def anomaly_score(self, X: Any) -> np.ndarray:
        assert self.let.wait(30)
        time.sleep(self.seconds)
        self.sizes.append(len(X))
        scores = np.asarray(X.numbers[:, 0])
        if (scores < 0).any():
            raise InvalidInput(f"row {int((scores < 0).argmax()) + 1}: no score")
        return scores


@pytest.fixture
def slow(table_model: Path) -> tuple[Engine, Slow]:
    engine = load_engine(table_model)
    scorer = Slow(engine)
    return replace(engine, scorer=scorer), scorer


def until(condition: Any, seconds: float = 10) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_a_full_queue_says_when_to_come_again(table_model: Path, slow: tuple[Engine, Slow]) -> None:
    engine, scorer = slow
    with serving(table_model, engine=engine, queue=3) as client, ThreadPoolExecutor(3) as pool:
        taken = [pool.submit(client.post, "/v1/score", json=ROW) for _ in range(3)]
        until(lambda: client.service.admission.requests == 3)
        refused = client.post("/v1/score", json=ROW)
        assert refused.status_code == 503
        assert refused.headers["Retry-After"] == "1"
        assert "queue is full" in refused.json()["error"]
        assert client.get("/healthz").status_code == 200  # the probes are not in the queue
        assert "lampblack_requests_in_progress 3.0" in client.get("/metrics").text
        scorer.let.set()
        assert [answer.result().status_code for answer in taken] == [200] * 3
        assert client.post("/v1/score", json=ROW).status_code == 200


def test_bodies_together_are_bounded(table_model: Path) -> None:
    from lampblack.service.body import Admission
    from lampblack.service.refusal import Refusal

    async def hold() -> None:
        admission = Admission(requests=100, max_bytes=10)
        async with admission.slot() as first:
            admission.hold(first, 35)
            async with admission.slot() as second:
                with pytest.raises(Refusal, match="memory"):
                    admission.hold(second, 6)
                admission.hold(second, 5)
            async with admission.slot() as third:
                admission.hold(third, 5)
        assert admission.requests == admission._bytes == 0

    asyncio.run(hold())


def test_a_request_past_its_deadline_is_told_so_and_not_scored(
    table_model: Path, slow: tuple[Engine, Slow]
) -> None:
    engine, scorer = slow
    with serving(table_model, engine=engine, deadline=0.2) as client:
        late = client.post("/v1/score", json=ROW)
        assert late.status_code == 503
        assert "no answer within 0.2 s" in late.json()["error"]
        assert "Retry-After" in late.headers
        with ThreadPoolExecutor(3) as pool:
            more = list(pool.map(lambda _: client.post("/v1/score", json=ROW), range(3)))
        assert [answer.status_code for answer in more] == [503] * 3
        scorer.let.set()
        until(lambda: client.service.batcher.depth == 0)
        assert client.post("/v1/score", json=ROW).status_code == 200
    assert sum(scorer.sizes) == 2  # the first, which had begun, and the last


def test_a_row_that_cannot_be_scored_fails_its_own_request_alone(
    table_model: Path, slow: tuple[Engine, Slow]
) -> None:
    engine, scorer = slow
    bad = {"rows": [*ROW["rows"], {**ROW["rows"][0], "flow": -1.0}]}
    good = {"rows": [{**ROW["rows"][0], "flow": 2.5}]}
    with serving(table_model, engine=engine, batch_wait=0.3) as client:
        with ThreadPoolExecutor(3) as pool:
            sent = [pool.submit(client.post, "/v1/score", json=body) for body in (good, bad, good)]
            until(lambda: client.service.batcher.depth == 3)
            scorer.let.set()
            answers = [answer.result() for answer in sent]
    assert [answer.status_code for answer in answers] == [200, 422, 200]
    assert answers[1].json()["error"] == "row 2: no score"
    assert answers[2].json()["results"][0]["anomaly_score"] == 2.5


def test_short_requests_do_not_wait_for_the_whole_of_a_long_one(slow: tuple[Engine, Slow]) -> None:
    engine, scorer = slow
    scorer.seconds = 0.01
    from lampblack.data.tables.schema import Rows

    def samples(n: int) -> Rows:
        return Rows(np.arange(3.0 * n).reshape(n, 3))

    async def both() -> list[str]:
        batcher = Batcher(0.0, lambda *_: None)
        batcher.start()
        ended: list[str] = []

        async def score(name: str, n: int) -> None:
            found = await batcher.run(engine, samples(n), 30)
            np.testing.assert_array_equal(found, samples(n).numbers[:, 0])
            ended.append(name)

        long = asyncio.create_task(score("long", 100_000))
        await asyncio.sleep(0.01)
        scorer.let.set()
        await asyncio.gather(long, *(score(f"short {i}", 10) for i in range(3)))
        batcher.close()
        return ended

    assert asyncio.run(both())[-1] == "long"
    assert max(scorer.sizes) <= 4096


# Other models.


def test_a_new_model_is_taken_in_while_requests_run(
    table_model: Path, other_model: Path, tmp_path: Path
) -> None:
    path = tmp_path / "m.model"
    shutil.copytree(table_model, path)
    expected = {}
    engine = load_engine(path)
    expected[engine.digest] = engine.scorer.anomaly_score(NEW)
    with serving(path) as client:
        assert client.post("/v1/reload").json()["changed"] is False
        stop = threading.Event()

        def keep_scoring() -> list[httpx.Response]:
            found = []
            while not stop.is_set():
                found.append(client.post("/v1/score", json={"rows": as_json(NEW)}))
            return found

        with ThreadPoolExecutor(4) as pool:
            running = [pool.submit(keep_scoring) for _ in range(3)]
            until(lambda: client.service.batcher.depth > 0)
            lampblack.load(other_model).save(path)
            reloaded = client.post("/v1/reload")
            after = client.post("/v1/score", json={"rows": as_json(NEW)})
            stop.set()
            answers = [answer for future in running for answer in future.result()]
    digest = load_engine(path).digest
    expected[digest] = load_engine(path).scorer.anomaly_score(NEW)
    assert reloaded.json() == {"changed": True, "model": digest}
    assert after.json()["model"] == reloaded.json()["model"]
    assert {answer.status_code for answer in answers} == {200}
    for answer in [*answers, after]:
        found = answer.json()
        scores = [result["anomaly_score"] for result in found["results"]]
        np.testing.assert_allclose(scores, expected[found["model"]], rtol=1e-6)


def test_a_request_finishes_with_the_model_it_started_with(
    table_model: Path, slow: tuple[Engine, Slow], other_model: Path
) -> None:
    engine, scorer = slow
    with serving(table_model, engine=engine) as client, ThreadPoolExecutor(1) as pool:
        begun = pool.submit(client.post, "/v1/score", json=ROW)
        until(lambda: client.service.batcher.depth == 1)
        client.service.use(load_engine(other_model))
        scorer.let.set()
        assert begun.result().json()["model"] == engine.digest
        assert client.post("/v1/score", json=ROW).json()["model"] != engine.digest


@pytest.mark.parametrize("fault", ["damaged", "missing", "newer"])
def test_a_broken_model_leaves_the_old_one_in_place(
    table_model: Path, tmp_path: Path, fault: str
) -> None:
    path = tmp_path / "m.model"
    shutil.copytree(table_model, path)
    with serving(path) as client:
        before = client.get("/v1/model").json()["digest"]
        if fault == "damaged":
            (path / "weights.safetensors").write_bytes(b"x")
        elif fault == "missing":
            shutil.rmtree(path)
        else:
            shutil.rmtree(path)
            path.mkdir()
            (path / "manifest.json").write_text("{}")
        answer = client.post("/v1/reload")
        assert answer.status_code == 409
        assert "the one in use stays" in answer.json()["error"]
        assert str(tmp_path) not in answer.text
        assert client.post("/v1/score", json=ROW).json()["model"] == before
        assert client.get("/readyz").status_code == 200
        assert 'lampblack_reloads_total{outcome="failed"} 1.0' in client.get("/metrics").text


def test_two_reloads_at_once_are_one(table_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from lampblack.service import app

    let = threading.Event()

    def waiting(path: Path, device: str) -> Engine:
        assert let.wait(30)
        return load_engine(path, device)

    with serving(table_model) as client, ThreadPoolExecutor(1) as pool:
        monkeypatch.setattr(app, "load_engine", waiting)
        first = pool.submit(client.post, "/v1/reload")
        until(lambda: client.service._reloading)
        second = client.post("/v1/reload")
        let.set()
        assert second.status_code == 409
        assert "another reload" in second.json()["error"]
        assert first.result().json()["changed"] is False


def test_before_the_model_is_loaded_only_the_probes_answer(table_model: Path) -> None:
    with serving(table_model) as client:
        client.service.engine = None
        assert client.get("/healthz").status_code == 200
        assert client.get("/readyz").json() == {"status": "loading"}
        assert client.get("/readyz").status_code == 503
        assert client.get("/openapi.json").status_code == 200
        for answer in (
            client.get("/v1/model"),
            client.post("/v1/score", json=ROW),
            client.post("/v1/explain", json=ROW),
            client.post("/v1/reload"),
        ):
            assert answer.status_code == 503
            assert answer.headers["Retry-After"] == "1"


def test_a_draining_service_says_so_and_closes_connections(table_model: Path) -> None:
    with serving(table_model) as client:
        client.service.draining = True
        answer = client.get("/readyz")
        assert (answer.status_code, answer.json()) == (503, {"status": "draining"})
        assert client.post("/v1/score", json=ROW).headers["Connection"] == "close"
