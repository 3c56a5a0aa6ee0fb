"""What Prometheus is told, from a registry of the service's own."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)

from lampblack.service.engine import Engine

RECENT = 10_000  # scored samples over which the share of alarms is taken
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
SAMPLES = (1, 4, 16, 64, 256, 1024, 4096)
REQUESTS = (1, 2, 4, 8, 16, 32, 64, 128)


class Metrics:
    """Counters and histograms of one service."""

    def __init__(self, depth: Callable[[], int], at_once: Callable[[], int]) -> None:
        self.registry = CollectorRegistry()
        registry = self.registry
        ProcessCollector(registry=registry)
        self.requests = Counter(
            "lampblack_requests", "Requests by endpoint and status.", ("endpoint", "status"),
            registry=registry,
        )  # fmt: skip
        self.seconds = Histogram(
            "lampblack_request_seconds", "From the request's headers to its answer.",
            ("endpoint",), buckets=SECONDS, registry=registry,
        )  # fmt: skip
        self._batch_samples = Histogram(
            "lampblack_batch_samples", "Samples scored together.", buckets=SAMPLES,
            registry=registry,
        )  # fmt: skip
        self._batch_requests = Histogram(
            "lampblack_batch_requests", "Requests scored together.", buckets=REQUESTS,
            registry=registry,
        )  # fmt: skip
        self._batch_seconds = Histogram(
            "lampblack_batch_seconds", "Time to score a batch.", buckets=SECONDS, registry=registry
        )
        self._scored = Counter(
            "lampblack_scored", "Samples that /v1/score scored.", registry=registry
        )
        self._alarms = Counter("lampblack_alarms", "Alarms among them.", registry=registry)
        self.reloads = Counter(
            "lampblack_reloads", "Reloads by outcome.", ("outcome",), registry=registry
        )
        self._model = Gauge(
            "lampblack_model_info", "The model in use.", ("digest", "detector", "runtime"),
            registry=registry,
        )  # fmt: skip
        self._threshold = Gauge(
            "lampblack_threshold", "Samples that score higher are alarms.", registry=registry
        )
        self._promised = Gauge(
            "lampblack_promised_false_alarm_rate",
            "Share of normal samples that raise an alarm, at most, in expectation; NaN if none.",
            registry=registry,
        )
        share = Gauge(
            "lampblack_recent_alarm_share",
            f"Share of alarms among the last {RECENT:,} samples of the model in use.",
            registry=registry,
        )
        share.set_function(self._share)
        waiting = Gauge(
            "lampblack_queue_depth", "Requests that wait for scores.", registry=registry
        )
        waiting.set_function(depth)
        admitted = Gauge(
            "lampblack_requests_in_progress", "Requests received, waiting or scored.",
            registry=registry,
        )  # fmt: skip
        admitted.set_function(at_once)
        self._recent: deque[tuple[int, int]] = deque()
        self._recent_samples = self._recent_alarms = 0

    def batch(self, samples: int, requests: int, seconds: float) -> None:
        """Note one batch."""
        self._batch_samples.observe(samples)
        self._batch_requests.observe(requests)
        self._batch_seconds.observe(seconds)

    def scored(self, samples: int, alarms: int) -> None:
        """Note the samples and alarms of one answer."""
        self._scored.inc(samples)
        self._alarms.inc(alarms)
        self._recent.append((samples, alarms))
        self._recent_samples += samples
        self._recent_alarms += alarms
        while self._recent_samples - self._recent[0][0] >= RECENT:
            samples, alarms = self._recent.popleft()
            self._recent_samples -= samples
            self._recent_alarms -= alarms

    def use(self, engine: Engine) -> None:
        """Note the model in use; the recent share begins anew."""
        self._model.clear()
        self._model.labels(engine.digest, engine.detector, engine.runtime).set(1)
        self._threshold.set(engine.calibration.threshold)
        promised = engine.promised
        self._promised.set(float("nan") if promised is None else promised)
        self._recent.clear()
        self._recent_samples = self._recent_alarms = 0

    def text(self) -> bytes:
        """All of it, in Prometheus' text format."""
        return generate_latest(self.registry)

    def _share(self) -> float:
        return self._recent_alarms / self._recent_samples if self._recent_samples else float("nan")
