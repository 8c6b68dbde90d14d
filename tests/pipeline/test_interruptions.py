"""A run that is killed or asked to stop, at any moment, and started again, ends with the same bytes."""

import multiprocessing
import random
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
from tool import COMMAND, contents, distill, new_session

SETTINGS = (
    "teacher.epochs=6",
    "student.epochs=60",
    "views=shift",
    "views.count=24",
    "soft_labels.block=128",
    "trainer.checkpoint_every=0.05",
    "evaluate.latency=false",
)
STAGES = ("train-teacher", "gen-soft-labels", "distill")
KILLS = 10


def run_stage(verb: str, directory: str) -> None:
    """In a child that was forked with torch imported, so that its life is spent at work."""
    import torch

    torch.set_num_threads(1)
    from distill_cli.stages import distill as distill_stage
    from distill_cli.stages import gen_soft_labels, train_teacher

    stage = dict(zip(STAGES, (train_teacher, gen_soft_labels, distill_stage), strict=True))[verb]
    stage.run(new_session(Path(directory), *SETTINGS))


@pytest.fixture(scope="module")
def nursery():
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["distill_cli.stages.jobs.train", "distill_cli.stages.jobs.label", "tool"])
    return context


def seconds_of(process) -> float:
    started = time.monotonic()
    process.start()
    process.join()
    assert process.exitcode == 0
    return time.monotonic() - started


@pytest.mark.slow
def test_sigkill_at_random_moments_changes_no_byte(tmp_path, nursery):
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    moments, counted = random.Random(0), {}
    for verb in STAGES:
        needed = seconds_of(nursery.Process(target=run_stage, args=(verb, str(whole))))
        kills = 0
        while kills < KILLS:
            process = nursery.Process(target=run_stage, args=(verb, str(cut)))
            process.start()
            process.join(moments.uniform(0.1, needed / 3))
            if process.exitcode is not None:  # done before the blow: start over for more kills
                assert process.exitcode == 0
                remove_result(cut, verb)
                continue
            process.kill()
            process.join()
            kills += 1
        seconds_of(nursery.Process(target=run_stage, args=(verb, str(cut))))
        counted[verb] = kills
        assert_equal_artefacts(whole, cut)
    print(f"kills survived: {counted}")


def remove_result(directory: Path, verb: str) -> None:
    kind = dict(zip(STAGES, ("teachers", "soft_labels", "students"), strict=True))[verb]
    shutil.rmtree(directory / "artifacts" / kind)


def assert_equal_artefacts(ours: Path, theirs: Path) -> None:
    found, expected = (without_locks(contents(d / "artifacts")) for d in (theirs, ours))
    assert found.keys() == expected.keys()
    assert [name for name in expected if found[name] != expected[name]] == []


def without_locks(files: dict[str, bytes]) -> dict[str, bytes]:
    return {name: content for name, content in files.items() if not name.startswith(".")}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory) -> Path:
    """A directory with a teacher that was trained without a disturbance."""
    directory = tmp_path_factory.mktemp("undisturbed")
    assert distill("train-teacher", *SETTINGS, cwd=directory).returncode == 0
    return directory


def stopped(
    verb: str, number: signal.Signals, directory: Path, after: str, settings=SETTINGS
) -> subprocess.CompletedProcess[str]:
    """The command, sent a signal once it has said `after`."""
    process = subprocess.Popen(
        [str(COMMAND), verb, *settings],
        cwd=directory,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    said = []
    for line in process.stderr:
        said.append(line)
        if line.startswith(after):
            time.sleep(0.3)
            process.send_signal(number)
            break
    stdout, stderr = process.communicate(timeout=60)
    return subprocess.CompletedProcess(process.args, process.returncode, stdout, "".join(said) + stderr)


@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGUSR1, 143), (signal.SIGUSR2, 143)],
    ids=lambda value: getattr(value, "name", ""),
)
def test_a_signal_ends_training_in_good_order_and_the_same_command_resumes(
    tmp_path, undisturbed, number, code
):
    done = stopped("train-teacher", number, tmp_path, after="teacher: cnn_digits")
    assert done.returncode == code, done.stderr
    assert done.stderr.splitlines()[-1] == "distill: interrupted; the same command resumes"
    assert "Traceback" not in done.stderr
    again = distill("train-teacher", *SETTINGS, cwd=tmp_path)
    assert again.returncode == 0 and "resumed in epoch" in again.stderr
    assert_equal_artefacts(undisturbed, tmp_path)


def test_a_signal_during_labelling_keeps_the_files_that_are_done(tmp_path, undisturbed):
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    for directory in (whole, cut):
        shutil.copytree(undisturbed, directory)
    many = ("views.count=400", *(word for word in SETTINGS if not word.startswith("views.count")))
    assert distill("gen-soft-labels", *many, cwd=whole).returncode == 0
    done = stopped("gen-soft-labels", signal.SIGTERM, cut, after="soft labels: ", settings=many)
    assert done.returncode == 143, done.stderr
    kept = {path: path.stat().st_mtime_ns for path in cut.rglob("block-*.json")}
    assert 0 < len(kept) < len(list(whole.rglob("block-*.json")))
    again = distill("gen-soft-labels", *many, cwd=cut)
    assert again.returncode == 0 and "soft labels: resumed" in again.stderr
    assert all(path.stat().st_mtime_ns == time for path, time in kept.items())
    assert_equal_artefacts(whole, cut)


def test_two_processes_that_want_the_same_teacher_train_it_once(tmp_path):
    command = [str(COMMAND), "train-teacher", *SETTINGS]
    both = [
        subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
        for _ in range(2)
    ]
    said = [process.communicate(timeout=120)[1] for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert sorted("teacher: built" in text for text in said) == [False, True]
    assert sum("waiting for another process" in text for text in said) == 1
    assert len(list(tmp_path.glob("outputs/train-teacher/*/result.json"))) == 2


def test_another_process_in_another_place_makes_the_same_bytes(undisturbed, tmp_path):
    assert distill("train-teacher", *SETTINGS, cwd=tmp_path).returncode == 0
    assert_equal_artefacts(undisturbed, tmp_path)
