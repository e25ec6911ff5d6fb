"""Workers: whatever becomes of a job, its caller learns it and goes on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
import worker_functions

from bridge.errors import UsageError
from bridge.hop import run_hop
from bridge.outcome import Stage, Symptom
from bridge.worker import IN_PROCESS, WORKER, Job, Limits, WorkFailure, WorkPool
from bridge.worker.limits import TimeLimitError, parse_bytes, time_limit

PLACES = pytest.mark.parametrize("place", [IN_PROCESS, WORKER])


def job(
    function: Callable[..., Any], *, place: str = WORKER, live: Any = None, **values: Any
) -> Job:
    name = f"{function.__module__}:{function.__qualname__}"
    return Job(place=place, function=name, arguments=values, live=live)


@pytest.fixture(scope="module")
def shared() -> Iterator[WorkPool]:
    """One pool for the tests whose jobs leave the worker as it was."""
    with WorkPool(limits=Limits(seconds=30)) as pool:
        yield pool


@contextmanager
def fails(
    symptom: Symptom, stage: Stage, match: str | None = None
) -> Iterator[pytest.ExceptionInfo[WorkFailure]]:
    with pytest.raises(WorkFailure, match=match) as raised:
        yield raised
    assert raised.value.symptom is symptom
    assert raised.value.stage is stage


def wait_until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end, "it does not come true"
        time.sleep(0.01)


def ended(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


@PLACES
def test_a_job_gives_its_result(shared: WorkPool, place: str) -> None:
    value = {"text": "«ü» \n \u2028 \U0001f600", "numbers": [1, 2.5, None, True], "deep": {"a": []}}
    assert shared.call(job(worker_functions.echo, place=place, value=value)) == value


@PLACES
def test_progress_and_stages_come_through(place: str) -> None:
    said: list[str] = []
    with WorkPool(progress=said.append) as pool:
        assert pool.call(job(worker_functions.report, place=place)) == "done"
    assert said == ["halfway", "nearly: «ü»\nsecond line"]


def test_a_worker_imports_its_framework_once_for_all_jobs(shared: WorkPool) -> None:
    first = shared.call(job(worker_functions.where))
    second = shared.call(job(worker_functions.where))
    assert first == second
    assert first["pid"] == first["imported_in"] != os.getpid()


def test_groups_of_jobs_have_processes_of_their_own() -> None:
    with WorkPool() as pool:
        pids = {
            pool.call(job(worker_functions.where, place=place))["pid"]
            for place in (WORKER, "worker:other", WORKER)
        }
    assert len(pids) == 2


def test_a_worker_starts_without_what_its_caller_has_loaded(shared: WorkPool) -> None:
    assert "pytest" in sys.modules
    assert not shared.call(job(worker_functions.loaded, module="pytest"))


def test_a_job_in_process_gets_the_live_object() -> None:
    live = object()
    taken: list[Any] = []
    worker_functions.take = lambda arguments, enter, say: taken.append(arguments["live"])
    with WorkPool() as pool:
        pool.call(Job(place=IN_PROCESS, function="worker_functions:take", arguments={}, live=live))
    assert taken == [live]


ERRORS = [
    ("value", Symptom.ERROR, "^ValueError: no such axis$"),
    ("silent", Symptom.ERROR, "^RuntimeError: no message$"),
    ("key", Symptom.ERROR, "^KeyError: 'weight'$"),
    ("memory", Symptom.OUT_OF_MEMORY, "cannot allocate 8 GiB"),
    ("unavailable", Symptom.UNAVAILABLE, "no such package"),
]


@PLACES
@pytest.mark.parametrize(("error", "symptom", "message"), ERRORS)
def test_an_exception_is_told_with_its_stage_and_the_worker_stays(
    shared: WorkPool, place: str, error: str, symptom: Symptom, message: str
) -> None:
    before = shared.call(job(worker_functions.where))
    with fails(symptom, Stage.LOWER, message) as raised:
        shared.call(job(worker_functions.raise_named, place=place, error=error))
    assert "raise_named" in raised.value.traceback
    assert shared.call(job(worker_functions.where)) == before


@PLACES
def test_an_error_of_ours_keeps_its_place_and_hint(shared: WorkPool, place: str) -> None:
    with fails(Symptom.MISMATCH, Stage.LOWER) as raised:
        shared.call(job(worker_functions.raise_named, place=place, error="mismatch"))
    failure = raised.value
    assert failure.message == "it computes something else"
    assert (failure.where, failure.hint) == ("net.py:7", "do not")
    assert failure.code == "work"


@PLACES
def test_all_unsupported_operators_are_listed(shared: WorkPool, place: str) -> None:
    with fails(Symptom.UNSUPPORTED, Stage.LOWER) as raised:
        shared.call(job(worker_functions.raise_named, place=place, error="unsupported"))
    for part in ("2 operator(s)", "aten.one (used 3×) first at net.py:1: use two", "aten.other"):
        assert part in raised.value.message
    assert raised.value.where == "net.py:1"


@PLACES
def test_work_that_does_not_exist_is_an_error(shared: WorkPool, place: str) -> None:
    for name in ("worker_functions:nothing", "no_such_module:main"):
        with fails(Symptom.ERROR, Stage.LOAD, "nothing|no_such_module"):
            shared.call(Job(place=place, function=name, arguments={}))


def test_a_job_that_exits_does_not_end_its_caller(shared: WorkPool) -> None:
    with fails(Symptom.ERROR, Stage.LOWER, "SystemExit: 3"):
        shared.call(job(worker_functions.raise_named, error="exit"))


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGABRT, signal.SIGKILL, signal.SIGFPE])
def test_a_crash_is_told_with_its_signal_and_the_stage_entered_last(number: signal.Signals) -> None:
    with WorkPool() as pool:
        first = pool.call(job(worker_functions.where))["pid"]
        with fails(Symptom.CRASH, Stage.SERIALIZE, f"killed by {number.name}") as raised:
            pool.call(job(worker_functions.die, signal=int(number)))
        assert "about to die" in raised.value.traceback, "what native code said last"
        assert pool.call(job(worker_functions.where))["pid"] != first, "the job goes on"


def test_a_segmentation_fault_of_native_code_is_a_crash() -> None:
    with WorkPool() as pool:
        with fails(Symptom.CRASH, Stage.RUN, "SIGSEGV"):
            pool.call(job(worker_functions.dereference_null))
        assert pool.call(job(worker_functions.echo, value=1)) == 1


@pytest.mark.parametrize("code", [0, 7])
def test_a_job_that_leaves_without_an_answer_is_a_crash(code: int) -> None:
    with WorkPool() as pool, fails(Symptom.CRASH, Stage.RUN, f"exit code {code}"):
        pool.call(job(worker_functions.exit_at_once, code=code))


def test_a_crash_is_seen_at_once_even_if_a_fork_holds_the_stream(tmp_path: Path) -> None:
    started = time.monotonic()
    with WorkPool(limits=Limits(seconds=20)) as pool, fails(Symptom.CRASH, Stage.LOAD, "SIGSEGV"):
        pool.call(job(worker_functions.die_leaving_a_fork, file=str(tmp_path / "pid")))
    assert time.monotonic() - started < 10
    wait_until(lambda: ended(int((tmp_path / "pid").read_text())))


def test_a_worker_that_dies_while_idle_is_replaced() -> None:
    with WorkPool() as pool:
        first = pool.worker(WORKER)
        assert pool.call(job(worker_functions.die_later)) == "answered"
        wait_until(lambda: not first.alive)
        assert pool.call(job(worker_functions.echo, value="next")) == "next"


def test_threads_that_share_a_worker_get_their_own_answers() -> None:
    with WorkPool() as pool, ThreadPoolExecutor(4) as threads:
        jobs = [job(worker_functions.echo, value=number) for number in range(40)]
        assert list(threads.map(pool.call, jobs)) == list(range(40))
        assert len(pool._workers) == 1
        fatal = [job(worker_functions.die, signal=int(signal.SIGKILL)), *jobs]
        answers = list(threads.map(lambda each: attempted(pool, each), fatal))
    assert answers[1:] == list(range(40))
    assert isinstance(answers[0], WorkFailure)


def attempted(pool: WorkPool, each: Job) -> Any:
    try:
        return pool.call(each)
    except WorkFailure as error:
        return error


def test_a_job_that_hangs_is_ended_at_its_time_limit() -> None:
    started = time.monotonic()
    with WorkPool(limits=Limits(seconds=0.5)) as pool:
        with fails(Symptom.TIMEOUT, Stage.RUN, r"no result after 0\.5 s") as raised:
            pool.call(job(worker_functions.hang))
        assert raised.value.hint == "a longer time limit is set with --timeout"
    assert time.monotonic() - started < 5


def test_talking_does_not_extend_the_time_limit() -> None:
    started = time.monotonic()
    with WorkPool(limits=Limits(seconds=0.5)) as pool, fails(Symptom.TIMEOUT, Stage.LOAD):
        pool.call(job(worker_functions.hang_talking))
    assert time.monotonic() - started < 5


def test_the_children_of_a_worker_end_with_it(tmp_path: Path) -> None:
    with WorkPool(limits=Limits(seconds=1)) as pool, fails(Symptom.TIMEOUT, Stage.LOAD):
        pool.call(job(worker_functions.hang_with_a_child, file=str(tmp_path / "pid")))
    wait_until(lambda: ended(int((tmp_path / "pid").read_text())))


def test_a_job_that_outgrows_its_memory_is_ended() -> None:
    limits = Limits(seconds=20, memory=200 << 20)
    with WorkPool(limits=limits) as pool:
        with fails(Symptom.OUT_OF_MEMORY, Stage.LOWER, r"MiB, more than the 200 MiB"):
            pool.call(job(worker_functions.grow))
        assert pool.call(job(worker_functions.echo, value=1)) == 1


@pytest.mark.parametrize("function", [worker_functions.hang, worker_functions.hang_regardless])
def test_a_time_limit_holds_in_process_too(function: Callable[..., Any]) -> None:
    started = time.monotonic()
    stage = Stage.RUN if function is worker_functions.hang else Stage.CAPTURE
    with (
        WorkPool(limits=Limits(seconds=0.3)) as pool,
        fails(Symptom.TIMEOUT, stage, r"no result after 0\.3 s"),
    ):
        pool.call(job(function, place=IN_PROCESS))
    assert time.monotonic() - started < 5
    assert signal.getitimer(signal.ITIMER_REAL) == (0, 0), "no alarm is left behind"


def test_a_time_limit_that_is_kept_leaves_no_trace() -> None:
    before = signal.getsignal(signal.SIGALRM)
    with time_limit(5):
        pass
    assert signal.getsignal(signal.SIGALRM) is before
    with pytest.raises(TimeLimitError), time_limit(0.01):
        time.sleep(5)
    assert signal.getsignal(signal.SIGALRM) is before


def test_what_native_code_prints_does_not_corrupt_the_answers() -> None:
    said: list[str] = []
    with WorkPool(progress=said.append) as pool:
        assert pool.call(job(worker_functions.make_noise)) == "genuine"
        assert pool.call(job(worker_functions.echo, value="next")) == "next"
    assert said == []


def test_a_job_cannot_read_the_requests(shared: WorkPool) -> None:
    assert shared.call(job(worker_functions.read_standard_input)) == ""
    assert shared.call(job(worker_functions.echo, value="next")) == "next"


@pytest.mark.parametrize("size", [70_000, 10_000_000])
def test_large_arguments_progress_and_results_do_not_deadlock(size: int) -> None:
    said: list[str] = []
    with WorkPool(limits=Limits(seconds=20), progress=said.append) as pool:
        result = pool.call(job(worker_functions.large, size=size, value="z" * size))
    assert result["received"] == len(result["text"]) == size
    assert [len(text) for text in said] == [size]


def test_an_abandoned_job_does_not_answer_the_next_one() -> None:
    def stop(text: str) -> None:
        raise RuntimeError("the caller's own")

    with WorkPool() as pool:
        pool.progress = stop
        with pytest.raises(RuntimeError, match="the caller's own"):
            pool.call(job(worker_functions.report))
        assert pool.call(job(worker_functions.echo, value="next")) == "next"


def test_no_worker_outlives_its_pool() -> None:
    with WorkPool() as pool:
        pid = pool.call(job(worker_functions.where))["pid"]
        assert not ended(pid)
    assert ended(pid)


@PLACES
def test_an_interruption_passes_through_and_leaves_no_worker(place: str) -> None:
    pids: list[int] = []

    def run() -> None:
        with WorkPool() as pool:
            pids.append(pool.call(job(worker_functions.where))["pid"])
            threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
            pool.call(job(worker_functions.hang, place=place))

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            run()
    finally:
        signal.signal(signal.SIGINT, before)
    assert ended(pids[0])


@pytest.mark.skipif(
    sys.platform != "linux", reason="only Linux tells a process of its parent's end"
)
def test_a_worker_dies_with_its_parent_however_that_ends() -> None:
    code = """
    import os, signal
    from bridge.worker import Job, WorkPool
    with WorkPool() as pool:
        where = Job(place="worker", function="worker_functions:where", arguments={})
        print(pool.call(where)["pid"], flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
    """
    environment = {**os.environ, "PYTHONPATH": str(Path(worker_functions.__file__).parent)}
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    wait_until(lambda: ended(int(done.stdout)))


def test_a_toolchain_that_cannot_be_made_is_a_failure_of_the_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("no folder can be made in here")
    monkeypatch.setenv("DRIFTBRIDGE_CACHE", str(tmp_path / "file" / "cache"))
    with WorkPool() as pool, fails(Symptom.UNAVAILABLE, Stage.LOAD, "onnx2tf"):
        pool.call(job(worker_functions.echo, place="onnx2tf", value=1))


@PLACES
@pytest.mark.parametrize("write", [True, False])
def test_a_hop_that_writes_no_file_has_failed(
    shared: WorkPool, tmp_path: Path, place: str, write: bool
) -> None:
    hop = Job(
        place=place,
        function=f"{run_hop.__module__}:{run_hop.__qualname__}",
        arguments={
            "convert": "worker_functions:convert_nothing",
            "source": None,
            "out": str(tmp_path / "model.onnx"),
            "options": {"write": write},
        },
    )
    if write:
        answer = shared.call(hop)
        assert answer["signature"] == {"inputs": [], "outputs": []}
        assert answer.get("live") == ("the live form" if place == IN_PROCESS else None)
    else:
        with fails(Symptom.ERROR, Stage.SERIALIZE, r"wrote no model\.onnx"):
            shared.call(hop)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("512M", 512 << 20),
        ("4G", 4 << 30),
        ("1.5 GiB", 3 << 29),
        ("100kb", 100 << 10),
        ("2048", 2048),
        (" 1T ", 1 << 40),
    ],
)
def test_an_amount_of_memory_is_read(text: str, expected: int) -> None:
    assert parse_bytes(text) == expected


@pytest.mark.parametrize("text", ["", "much", "-1G", "4X", "4GG", "1e9"])
def test_what_is_no_amount_of_memory_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="no amount of memory"):
        parse_bytes(text)
