import asyncio
import threading

import numpy as np
import pytest

import segue
import serving
from segue.serve.engine import Ended, Engine, Overloaded


def run_in_engine(pipeline, max_queue, body):
    async def main():
        engine = Engine(pipeline, max_queue)
        engine.start()
        try:
            return await body(engine)
        finally:
            await engine.close(10)

    return asyncio.run(main())


def array(value):
    return np.full((1, 8), value, dtype=np.int8)


def value_of(result):
    return int(result.outputs["out"][0, 0])


def test_each_request_gets_its_own_result():
    release = threading.Event()
    release.set()

    async def body(engine):
        return await asyncio.gather(*(engine.run([array(i)]) for i in range(100)))

    results = run_in_engine(serving.blocked_pipeline(release), 100, body)
    assert [value_of(result) for result in results] == list(range(100))


def test_invalid_input_fails_alone():
    release = threading.Event()
    release.set()

    async def body(engine):
        wrong = array(1).astype(np.float32)
        return await asyncio.gather(
            *(engine.run([wrong if i % 3 == 1 else array(i)]) for i in range(9)),
            return_exceptions=True,
        )

    results = run_in_engine(serving.blocked_pipeline(release), 9, body)
    for i, result in enumerate(results):
        if i % 3 == 1:
            assert isinstance(result, segue.Error) and "must have INT8" in str(result)
        else:
            assert value_of(result) == i


def test_full_queue_refuses_at_once():
    release = threading.Event()

    async def body(engine):
        tasks = [asyncio.ensure_future(engine.run([array(i)])) for i in range(4)]
        await asyncio.sleep(0)
        with pytest.raises(Overloaded, match="4 requests"):
            await engine.run([array(9)])
        assert engine.unanswered == 4
        release.set()
        return await asyncio.gather(*tasks)

    results = run_in_engine(serving.blocked_pipeline(release), 4, body)
    assert [value_of(result) for result in results] == [0, 1, 2, 3]


def test_cancelled_request_is_not_computed():
    release = threading.Event()
    computed = []

    async def body(engine):
        tasks = [asyncio.ensure_future(engine.run([array(i)])) for i in range(10)]
        await asyncio.sleep(0.2)  # some are in the pipeline, the last ones wait
        for task in tasks[7:9]:
            task.cancel()
        await asyncio.sleep(0)
        assert engine.unanswered == 8
        release.set()
        return await asyncio.gather(*tasks, return_exceptions=True)

    results = run_in_engine(serving.blocked_pipeline(release, computed=computed), 10, body)
    assert computed == [0, 1, 2, 3, 4, 5, 6, 9]
    assert [isinstance(result, asyncio.CancelledError) for result in results].count(True) == 2
    assert value_of(results[9]) == 9


def failing_pipeline(fails_at):
    like = np.zeros((1, 8), dtype=np.int8)

    def run(arrays):
        if arrays[0][0, 0] == fails_at:
            raise ValueError("the device is on fire")
        return [np.array(arrays[0])]

    backend = segue.callable_backend([segue.Port("in", like)], [segue.Port("out", like)], run)
    return serving.callable_pipeline(backend)


def test_failed_pipeline_answers_all_requests():
    failures = []

    async def body(engine):
        engine.on_failure = lambda: failures.append(engine.error)
        results = await asyncio.gather(
            *(engine.run([array(i)]) for i in range(12)), return_exceptions=True
        )
        with pytest.raises(Ended, match="on fire"):
            await engine.run([array(1)])
        assert not engine.is_ready
        return results

    results = run_in_engine(failing_pipeline(5), 12, body)
    assert [value_of(result) for result in results[:5]] == [0, 1, 2, 3, 4]
    assert all(isinstance(result, Ended) for result in results[5:])
    assert len(failures) == 1 and "on fire" in failures[0]


def test_close_completes_accepted_requests():
    release = threading.Event()

    async def main():
        engine = Engine(serving.blocked_pipeline(release), 20)
        engine.start()
        tasks = [asyncio.ensure_future(engine.run([array(i)])) for i in range(20)]
        await asyncio.sleep(0.1)
        closing = asyncio.ensure_future(engine.close(30))
        await asyncio.sleep(0.1)
        with pytest.raises(Ended, match="shuts down"):
            await engine.run([array(1)])
        release.set()
        await closing
        return [value_of(result) for result in await asyncio.gather(*tasks)]

    assert asyncio.run(main()) == list(range(20))


def test_close_stops_waiting_after_timeout():
    release = threading.Event()

    async def main():
        engine = Engine(serving.blocked_pipeline(release), 20)
        engine.start()
        tasks = [asyncio.ensure_future(engine.run([array(i)])) for i in range(5)]
        await asyncio.sleep(0.1)
        await engine.close(0.2)
        return await asyncio.gather(*tasks, return_exceptions=True)

    results = asyncio.run(main())
    release.set()
    assert all(isinstance(result, Ended) for result in results)
