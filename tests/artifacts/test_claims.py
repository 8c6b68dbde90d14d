"""Claims: one process a part, free again when its holder dies, and no obstacle where there are no locks."""

import errno
import fcntl
import os
import subprocess
import sys

import pytest

from distill_cli.artifacts.claims import Claims

HOLDER = (
    "import sys, os, signal; from pathlib import Path; from distill_cli.artifacts.claims import Claims\n"
    "claims = Claims(Path(sys.argv[1])); assert claims.take('a')\n"
    "print('has it', flush=True); sys.stdin.read()"
)


@pytest.fixture
def holder(tmp_path):
    """Another process that has a claim on part `a`."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path / "claims")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "has it\n"
    yield process
    process.kill()
    process.communicate()


def test_what_another_process_has_is_not_to_be_had_and_all_else_is(tmp_path, holder):
    with Claims(tmp_path / "claims") as claims:
        assert not claims.take("a")
        assert claims.take("b")


def test_the_claims_of_a_killed_process_are_free(tmp_path, holder):
    holder.kill()
    holder.wait()
    with Claims(tmp_path / "claims") as claims:
        assert claims.take("a")


def test_what_is_given_back_is_free_for_another_process(tmp_path):
    with Claims(tmp_path / "claims") as claims:
        assert claims.take("a") and claims.take("b")
        claims.give_back("a")
        done = subprocess.run(
            [sys.executable, "-c", HOLDER, str(tmp_path / "claims")], input="", capture_output=True, text=True
        )
        assert done.stdout == "has it\n", done.stderr


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
def test_without_locks_everybody_has_every_claim_and_knows_it(tmp_path, monkeypatch, number):
    def fail(*arguments):
        raise OSError(number, os.strerror(number))

    with Claims(tmp_path / "claims") as claims:
        assert claims.are_exclusive
        monkeypatch.setattr(fcntl, "lockf", fail)
        assert claims.take("a")
        assert not claims.are_exclusive
        claims.give_back("a")
