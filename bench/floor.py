"""The floor: what a boot would cost if it were nothing but its messages and its commits.

Chains of bare Celery messages over the same broker, through as many worker processes with as many threads as a boot goes
through, with as many bare PostgreSQL commits on the way: publish (and commit) → scheduler (commit) → host → conductor
(commit). No Django, no JSON of ours, no signatures, no HTTP. Run as a module it is one of the workers.
"""

import argparse
import os
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from typing import Any

import psycopg
from celery import Celery
from kombu import Exchange, Queue

from bench.client import concurrently, until
from cloudsite.settings.environment import BASE_DIR

STAGES = ("floor-scheduler", "floor-host", "floor-conductor")
COMMITS_AT = ("floor-scheduler", "floor-conductor")
BROKER, DATABASE = "BENCH_BROKER", "BENCH_DATABASE"
_local = threading.local()


def make_app(broker: str) -> Celery:
    """With the control plane's own settings."""
    app = Celery("floor", broker=broker, fixups=[])
    app.conf.update(
        accept_content=["json"], task_serializer="json", task_ignore_result=True, task_acks_late=True,
        task_reject_on_worker_lost=True, worker_prefetch_multiplier=1, worker_send_task_events=False,
        broker_connection_retry_on_startup=True, broker_transport_options={"priority_steps": [0], "visibility_timeout": 3600},
        task_queues=[Queue(name, Exchange("", type="direct"), routing_key=name) for name in STAGES], task_default_queue=STAGES[0],
    )
    for name, following in zip(STAGES, (*STAGES[1:], None), strict=True):
        app.task(name=name)(_stage(app, name, following))
    return app


def _stage(app: Celery, name: str, following: str | None) -> Any:
    def work(payload: str) -> None:
        if name in COMMITS_AT:
            commit(name)
        if following is not None:
            publish(app, following, payload)

    return work


def publish(app: Celery, queue: str, payload: str) -> None:
    with app.producer_pool.acquire(block=True) as producer:
        task = app.amqp.as_task_v2(os.urandom(16).hex(), queue, args=[payload], argsrepr="", kwargsrepr="", ignore_result=True)
        producer.publish(task.body, exchange="", routing_key=queue, serializer="json", headers=task.headers, **task.properties)


def commit(stage: str) -> None:
    """One bare row in one bare transaction, on this thread's connection."""
    connection = getattr(_local, "connection", None)
    if connection is None:
        connection = _local.connection = psycopg.connect(os.environ[DATABASE], autocommit=True)
    connection.execute("INSERT INTO floor (stage) VALUES (%s)", (stage,))


def measure(*, broker: str, database: str, env: Mapping[str, str], chains: int, threads: int) -> float:
    """Chains per second, first publish to last commit, `threads` publishers at once."""
    surroundings = {**env, BROKER: broker, DATABASE: database}
    os.environ.update({BROKER: broker, DATABASE: database})
    payload = "x" * 1500  # the size of a signed build command
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS floor (id bigserial PRIMARY KEY, stage text)")
        connection.execute("TRUNCATE floor")
        workers = [
            subprocess.Popen([sys.executable, "-m", "bench.floor", stage], cwd=BASE_DIR, env=surroundings, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            for stage in STAGES
        ]
        try:
            return _run(connection, make_app(broker), payload, chains, threads)
        finally:
            for worker in workers:
                worker.terminate()
            for worker in workers:
                worker.wait(20)


def _run(connection: Any, app: Celery, payload: str, chains: int, threads: int) -> float:
    def done() -> int:
        return int(connection.execute("SELECT count(*) FROM floor WHERE stage = %s", (STAGES[-1],)).fetchone()[0])

    def start() -> None:
        commit("api")
        publish(app, STAGES[0], payload)

    concurrently([start] * 20, threads=threads)  # connections are made, workers are up
    until(lambda: done() == 20, timeout_s=60)
    began = time.perf_counter()
    concurrently([start] * chains, threads=threads)
    until(lambda: done() == 20 + chains, timeout_s=300)
    return chains / (time.perf_counter() - began)


def main() -> None:
    parser = argparse.ArgumentParser(description="One worker of the floor; started by the benchmark.")
    parser.add_argument("stage", choices=STAGES)
    stage = parser.parse_args().stage
    app = make_app(os.environ[BROKER])
    app.Worker(
        hostname=f"{stage}@%h", queues=[stage], pool="threads", concurrency=8, loglevel="ERROR",
        without_gossip=True, without_mingle=True, without_heartbeat=True,
    ).start()


if __name__ == "__main__":
    main()
