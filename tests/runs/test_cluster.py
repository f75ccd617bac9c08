"""Runs on a Dask cluster: a real scheduler and real workers, processes on the loopback."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from cluster_runs import MODULE, Inner, Toy, mark_of, request, run

import rnnreport
from rnnreport.cli.main import main
from rnnreport.experiments.captioning import gradients, training
from rnnreport.experiments.captioning.gradients import GradientsConfig
from rnnreport.experiments.captioning.settings import CaptionConfig
from rnnreport.names import PARTS, PartName
from rnnreport.report import parts
from rnnreport.report.parts import Plan, Runs, runs_of
from rnnreport.runs import engine, remote, store
from rnnreport.runs.cluster import Cluster, ClusterError
from rnnreport.runs.engine import Job
from rnnreport.runs.store import Packed, Result, load_tensors

pytestmark = pytest.mark.usefixtures("store")

TESTS = Path(__file__).parents[1]
PACKAGE = Path(rnnreport.__file__).parent
SECONDS = 120.0
"""How long a machine that does much else may take for a step; none of them takes two when idle."""


class Machine:
    """A scheduler and its workers, each with data and a store of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.workers: dict[str, psutil.Popen] = {}
        self.scheduler = self._start("scheduler", "scheduler", "--host", "127.0.0.1", "--port", "0")
        self.address = self._said("scheduler", r"Scheduler at: +(tcp://\S+)")

    def add_worker(self, name: str, *, package: Path = PACKAGE, data: str = "data") -> str:
        """Start a worker and return its address."""
        folders = {
            "RNNREPORT_STORE": str(self.store(name)),
            "RNNREPORT_DATA": str(self.folder / data),
            "PYTHONPATH": os.pathsep.join([str(package.parent), str(TESTS)]),
        }
        options = ["--no-nanny", "--nthreads", "1", "--host", "127.0.0.1"]
        options += ["--local-directory", str(self.folder / f"{name}-scratch")]
        self.workers[name] = self._start("worker", name, self.address, *options, **folders)
        address = self._said(name, r"Start worker at: +(tcp://\S+)")
        self._said(name, "(Starting established connection)")
        return address

    def end_worker(self, name: str) -> None:
        """Kill a worker."""
        process = self.workers.pop(name)
        process.kill()
        process.wait()

    def store(self, name: str) -> Path:
        return self.folder / f"{name}-store"

    def computing(self) -> list[psutil.Process]:
        """Return the processes that the workers have started."""
        with contextlib.suppress(psutil.NoSuchProcess):
            return [each for worker in self.workers.values() for each in worker.children()]
        return []

    def close(self) -> None:
        for process in (*self.workers.values(), self.scheduler):
            process.kill()
            process.wait()

    def _start(self, kind: str, name: str, *options: str, **variables: str) -> psutil.Popen:
        command = [sys.executable, "-m", f"distributed.cli.dask_{kind}", *options]
        environment = {
            key: value for key, value in os.environ.items() if not key.startswith("RNNREPORT_")
        }
        environment |= {"PYTHONPATH": str(PACKAGE.parent), **variables}
        with (self.folder / f"{name}.log").open("w", encoding="utf-8") as log:
            return psutil.Popen(
                [*command, "--no-dashboard"], env=environment, stdout=log, stderr=log
            )

    def _said(self, name: str, pattern: str) -> str:
        log = self.folder / f"{name}.log"

        def found() -> re.Match[str] | None:
            return re.search(pattern, log.read_text(encoding="utf-8"))

        wait_until(found)
        match = found()
        assert match
        return match[1]


def wait_until(condition: Callable[[], object]) -> None:
    end = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < end, "it does not come about"
        time.sleep(0.02)


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    folder = tmp_path_factory.mktemp("cluster")
    (folder / "data" / "sentiment").mkdir(parents=True)
    (folder / "data" / "sentiment" / "train.txt").write_text("1 good", encoding="utf-8")
    machine = Machine(folder)
    machine.add_worker("one")
    machine.add_worker("two")
    yield machine
    machine.close()


@pytest.fixture(autouse=True)
def folders(machine: Machine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Store here and there in empty folders; leave no process behind."""
    monkeypatch.setenv("RNNREPORT_DATA", str(machine.folder / "data"))
    monkeypatch.setenv("RNNREPORT_PROGRESS", str(tmp_path / "progress"))
    yield
    wait_until(lambda: not machine.computing())
    for name in ("one", "two"):
        shutil.rmtree(machine.store(name), ignore_errors=True)


@pytest.fixture
def cluster(machine: Machine) -> Iterator[Cluster]:
    with Cluster(machine.address) as cluster:
        yield cluster


def jobs_of(*configs: Toy) -> list[list[Job]]:
    return [[Job(run, config)] for config in configs]


def same(one: Result, two: Result) -> bool:
    """Whether two results differ in nothing but when and for how long they were computed."""
    (first, one_weights), (second, two_weights) = (
        (r.__dict__.copy(), r.tensors) for r in (one, two)
    )
    for each in (first, second):
        del each["wall_time"], each["date"]
    return first == second and one_weights == two_weights


def test_the_same_bits_as_here(
    cluster: Cluster,
    machine: Machine,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A network is trained on one worker, and what is measured in it perhaps on another."""
    config = CaptionConfig(
        "lstm",
        "sample",
        n_train=12,
        n_val=6,
        wordvec_dim=8,
        hidden_dim=10,
        min_count=1,
        epochs=2,
    )
    measured = GradientsConfig(config, n_captions=2, distance=2)
    plan = Plan(
        "captioning",
        "sample",
        missing=(
            Runs("captions", training, (config,)),
            Runs("gradients", gradients, (measured,), stage=1),
        ),
        runs=(),
    )
    with monkeypatch.context() as patch:
        patch.setenv("RNNREPORT_STORE", str(tmp_path / "here"))
        here = [training.run(config), gradients.run(measured)]
        weights = load_tensors(here[0])
    stages = parts.do([plan], workers=cluster)
    assert next(stages) == "captions"
    for name in ("one", "two"):  # so that the network must be sent along
        shutil.rmtree(machine.store(name), ignore_errors=True)
    assert list(stages) == ["gradients"]
    there = [training.run(config), gradients.run(measured)]
    assert all(map(same, here, there))
    assert here[0].tensors
    assert all((load_tensors(there[0])[name] == weights[name]).all() for name in weights)
    network = training.request(config).path
    (carried,) = machine.folder.glob(f"*-store/{network.name}")
    assert carried.read_bytes() == network.read_bytes()  # its date, too: it was not trained again
    progress = (tmp_path / "progress").read_text(encoding="utf-8")
    assert "captions, 1 runs: 100%" in progress
    assert "gradients, 1 runs: 100%" in progress


def test_a_chain_stays_together(cluster: Cluster, tmp_path: Path) -> None:
    configs = [Toy(number, folder=str(tmp_path)) for number in range(3)]
    cluster.run([[Job(run, config) for config in configs]], label="toys")
    marks = [mark_of(config).read_text(encoding="utf-8").split() for config in configs]
    assert len({tuple(mark) for mark in marks}) == 1
    assert marks[0][2] == "1"  # thread
    results = engine.results(sys.modules[run.__module__], configs, label="toys", workers=cluster)
    assert [result.metrics["total"] for result in results] == pytest.approx(
        [1.5333, 2.5333, 3.5333], abs=1e-3
    )
    assert engine.count(cluster) == 2


def test_the_run_of_a_worker_that_dies_is_done_elsewhere(
    cluster: Cluster, machine: Machine, tmp_path: Path
) -> None:
    config = Toy(1, "wait", str(tmp_path))
    outcome: list[str] = []

    def do() -> None:
        cluster.run(jobs_of(config), label="toys")
        outcome.append("done")

    thread = threading.Thread(target=do)
    thread.start()
    wait_until(lambda: mark_of(config).exists() and mark_of(config).read_text(encoding="utf-8"))
    process, worker, _ = map(int, mark_of(config).read_text(encoding="utf-8").split())
    (name,) = (each for each, popen in machine.workers.items() if popen.pid == worker)
    machine.end_worker(name)
    wait_until(lambda: not psutil.pid_exists(process))
    (tmp_path / "go").touch()
    thread.join(SECONDS)
    machine.add_worker(name)
    assert outcome == ["done"]
    marks = mark_of(config).read_text(encoding="utf-8").splitlines()
    assert len({mark.split()[1] for mark in marks}) == 2
    assert store.get(request(config)) is not None


def test_errors_name_the_worker_and_end_the_others(
    cluster: Cluster, machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rnnreport.runs.cluster._TRIES", 2)
    waiting, failing, stumbling, exiting = (
        Toy(number, does, str(tmp_path))
        for number, does in enumerate(["wait", "fail", "stumble", "exit"])
    )
    cluster.check([Job(run, each) for each in (waiting, failing, stumbling, exiting)])
    with pytest.raises(ClusterError, match=r"tcp://127.*: the loss of toy 1 is not finite$"):
        cluster.run(jobs_of(waiting, failing), label="toys")
    wait_until(lambda: not machine.computing())
    with pytest.raises(RuntimeError, match="a mistake in the code") as caught:
        cluster.run(jobs_of(stumbling), label="toys")
    assert "in _compute" in caught.value.__notes__[0]
    with pytest.raises(ClusterError, match=r"toys, Toy\(number=3.*ended from outside \(status 9\)"):
        cluster.run(jobs_of(exiting), label="toys")
    assert len(mark_of(exiting).read_text(encoding="utf-8").splitlines()) == 2


def test_what_a_worker_lacks_is_said_before_anything_is_sent(
    cluster: Cluster, machine: Machine, tmp_path: Path
) -> None:
    (machine.folder / "other" / "sentiment").mkdir(parents=True)
    (machine.folder / "other" / "sentiment" / "train.txt").write_text("0 bad", encoding="utf-8")
    (machine.folder / "nothing").mkdir()
    changed = tmp_path / "changed" / "rnnreport"
    shutil.copytree(PACKAGE, changed, ignore=shutil.ignore_patterns("__pycache__", "recorded"))
    file = changed.joinpath(*MODULE.split(".")[1:]).with_suffix(".py")
    code = file.read_text(encoding="utf-8")
    assert code.count("\ndef run(") == 1
    file.write_text(code.replace("\ndef run(", "\ndef run(more: int, "), encoding="utf-8")
    lacking = machine.add_worker("lacking", data="nothing")
    differing = machine.add_worker("differing", data="other")
    outdated = machine.add_worker("outdated", package=changed)
    try:
        config = Toy(1, "add", str(tmp_path), with_data=True)
        with pytest.raises(ClusterError) as caught:
            cluster.run(jobs_of(config), label="toys")
        lines = str(caught.value).split("on the worker ")
        sentences = dict(line.split(": ", 1) for line in lines if line)
        assert sentences.keys() == {lacking, differing, outdated}
        assert sentences[lacking].startswith("the asset 'sentiment' is missing")
        assert "RNNREPORT_DATA names the first folder" in sentences[lacking]
        assert re.match("the data for toys, .*fingerprint is '.*' and not ", sentences[differing])
        assert re.match("other code would compute toys, .*: install ", sentences[outdated])
        assert not mark_of(config).exists()
    finally:
        for name in ("lacking", "differing", "outdated"):
            machine.end_worker(name)


def test_a_worker_that_comes_later_is_asked_too(
    cluster: Cluster, machine: Machine, tmp_path: Path
) -> None:
    first = Toy(1, "add", str(tmp_path), with_data=True)
    cluster.check([Job(run, first)])
    for name in ("one", "two"):
        machine.end_worker(name)
    (machine.folder / "empty").mkdir(exist_ok=True)
    late = machine.add_worker("late", data="empty")
    cluster._checked.add((late, Job(run, first)))  # as if it had come after the question
    try:
        with pytest.raises(ClusterError, match=f"{late}: the asset 'sentiment' is missing"):
            cluster.run(jobs_of(first), label="toys")
        assert not mark_of(first).exists()
    finally:
        machine.end_worker("late")
        for name in ("one", "two"):
            machine.add_worker(name)


def test_other_versions_are_other_results(tmp_path: Path) -> None:
    found = store.versions()["torch"]
    task = {"compute": False, "versions": {"torch": "1.0", "nosuch": "2"}, "jobs": []}
    (tmp_path / "task.json").write_text(json.dumps(task), encoding="utf-8")
    message = f"torch is {re.escape(found)} and not 1.0, nosuch is missing and not 2: install there"
    with pytest.raises(remote._Difference, match=message):
        remote._do(tmp_path)


def test_a_configuration_must_be_plain() -> None:
    config = Toy(1, inner=Inner(sizes=((Path("a"), 1),)))  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"must consist of numbers, .* got PosixPath"):
        remote.plain(config)


@pytest.mark.parametrize("part", PARTS)
def test_every_configuration_of_the_report_travels(part: PartName) -> None:
    for runs in runs_of(part, "sample"):
        for config in runs.configs:
            built = remote._built(json.loads(json.dumps(remote.plain(config))))
            assert repr(built) == repr(config)  # of the same kinds: a tuple equals a named one


def test_a_gpu_is_asked_for(cluster: Cluster) -> None:
    with pytest.raises(ClusterError, match=r"no worker offers a GPU.*--resources GPU=1"):
        cluster.run(jobs_of(Toy(1, device="cuda")), label="toys")


_CLIENT = """
import sys
sys.path.insert(0, sys.argv[1])
from cluster_runs import Toy, run
from rnnreport.runs.cluster import Cluster
from rnnreport.runs.engine import Job
with Cluster(sys.argv[2]) as cluster:
    cluster.run([[Job(run, Toy(k, "wait", sys.argv[3]))] for k in range(2)], label="toys")
"""


def test_all_ends_with_a_client_that_is_killed(machine: Machine, tmp_path: Path) -> None:
    client = subprocess.Popen(
        [sys.executable, "-c", _CLIENT, str(TESTS), machine.address, str(tmp_path)]
    )
    marks = [mark_of(Toy(k, "wait", str(tmp_path))) for k in range(2)]
    wait_until(lambda: all(mark.exists() and mark.read_text(encoding="utf-8") for mark in marks))
    assert len(machine.computing()) == 2
    client.kill()
    client.wait()
    wait_until(lambda: not machine.computing())


def test_ctrl_c_ends_all(machine: Machine) -> None:
    command = "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
    command += "from rnnreport.__main__ import entry; sys.exit(entry())"
    arguments = ["run", "captioning", "--profile", "sample", "--cell", "attention"]
    client = subprocess.Popen(
        [sys.executable, "-c", command, *arguments, "--cluster", machine.address],
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_until(lambda: list(machine.folder.glob("*-store/locks/captions-by-heart*")))
    assert len(machine.computing()) == 1
    client.send_signal(signal.SIGINT)
    _, error = client.communicate(timeout=SECONDS)
    assert client.returncode == 130
    assert error == "rnnreport: interrupted\n"
    wait_until(lambda: not machine.computing())


@pytest.mark.parametrize(
    ("address", "listens"),
    [
        ("tcp://127.0.0.1:{port}", False),
        ("tcp://127.0.0.1:{port}", True),
        ("nonsense", False),
        ("http://x", False),
        ("tls://127.0.0.1:1", False),
        ("tcp://", False),
    ],
)
def test_a_scheduler_that_is_not_there(
    address: str, listens: bool, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rnnreport.runs.cluster._SECONDS", 1)
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        if listens:  # to whoever comes, and says nothing
            other.listen()
        address = address.format(port=other.getsockname()[1])
        begin = time.monotonic()
        assert main(["prepare", "--cluster", address]) == 1
    assert time.monotonic() - begin < 30
    error = capfd.readouterr().err
    assert error.startswith(f"rnnreport: no Dask scheduler answers at {address!r} (")
    assert error.count("\n") == 1


def test_a_scheduler_without_workers(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rnnreport.runs.cluster._SECONDS", 2)
    empty = Machine(tmp_path)
    try:
        assert main(["record", "text", "--cluster", empty.address]) == 1
        expected = f"has no worker: `dask worker {empty.address}` starts one\n"
        assert capfd.readouterr().err.endswith(expected)
    finally:
        empty.close()


def test_a_missing_package_is_named(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "rnnreport.runs.cluster")
    monkeypatch.setitem(sys.modules, "distributed", None)
    assert main(["prepare", "--cluster", "tcp://127.0.0.1:1"]) == 1
    assert capsys.readouterr().err == (
        "rnnreport: this command needs packages that are not installed (distributed): "
        "pip install 'rnnreport[cluster]'\n"
    )


def test_a_result_of_another_store_is_kept_whole() -> None:
    result = run(Toy(1))
    files = store.pack(result)
    path = request(Toy(1)).path
    with pytest.raises(ValueError, match="not those of its result"):
        store.keep(Packed(files.text, b"other"))
    later = Packed(files.text.replace(b'"date": "2', b'"date": "3'), files.tensors)
    assert store.keep(later) == result  # what is there stays
    path.unlink()
    path.with_suffix(".safetensors").unlink()
    assert store.keep(later) != result
    assert store.pack(result) == later
