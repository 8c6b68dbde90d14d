"""What GitHub Actions is told: annotations that cannot break out of their line, and a summary that fits."""

import pytest

from distill_cli.evaluation import github
from distill_cli.evaluation.gates import Verdict
from distill_cli.evaluation.github import (
    LIMIT,
    annotate,
    annotation,
    append_summary,
    fitting,
    gates_table,
    sweep_entry,
)

PASSED = Verdict("min_top1", 0.97, 0.9837, True, "0.9837")
MISSED = Verdict("max_params", 100, 1810, False, "1,810")


@pytest.fixture
def summary(tmp_path, monkeypatch):
    path = tmp_path / "summary.md"
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(path))
    return path


def test_a_missed_gate_is_an_error_and_a_passed_one_a_notice(capsys):
    annotate([PASSED, MISSED], "mlp")
    assert capsys.readouterr().out.splitlines() == [
        "::notice title=gates.min_top1::mlp: gates.min_top1=0.97: passed (0.9837)",
        "::error title=gates.max_params::mlp: gates.max_params=100: failed (1,810)",
    ]


def test_a_message_stays_one_command_and_a_title_one_property():
    odd = Verdict("a,b:c", "100%\r\n::error::x", None, False, "1,810")
    assert annotation(odd, "mlp") == (
        "::error title=gates.a%2Cb%3Ac::mlp: gates.a,b:c=100%25%0D%0A::error::x: failed (1,810)"
    )


def test_only_a_runner_that_says_so_is_github(monkeypatch):
    for value, expected in (("true", True), ("", False), ("false", False)):
        monkeypatch.setenv("GITHUB_ACTIONS", value)
        assert github.is_on() is expected
    monkeypatch.delenv("GITHUB_ACTIONS")
    assert not github.is_on()


def test_the_table_has_a_row_for_each_gate_and_no_cell_breaks_it():
    odd = Verdict("reference", "a|b.json", 0.9, True, "0.9000")
    rows = gates_table([PASSED, MISSED, odd]).splitlines()
    assert rows[:4] == ["## Gates", "", "| gate |  | figure |", "|---|---|---|"]
    assert rows[4:] == [
        "| `gates.min_top1=0.97` | ✅ passed | 0.9837 |",
        "| `gates.max_params=100` | ❌ failed | 1,810 |",
        "| `gates.reference=a\\|b.json` | ✅ passed | 0.9000 |",
    ]
    assert gates_table([]) == ""


def test_a_job_of_a_sweep_is_one_line_with_what_it_missed():
    assert sweep_entry([PASSED], "#0 seed=1", 0.9837) == "- ✅ `#0 seed=1`: top-1 98.37%\n"
    line = sweep_entry([PASSED, MISSED], "#0 seed=1", 0.9837)
    assert line == "- ❌ `#0 seed=1`: top-1 98.37%; gates.max_params=100: failed (1,810)\n"


def test_a_summary_is_added_to_what_is_there(summary):
    summary.write_text("from an earlier command\n")
    assert append_summary("one\n") is None and append_summary("two\n") is None
    assert summary.read_text() == "from an earlier command\none\ntwo\n"


@pytest.mark.parametrize("before", [0, 1, LIMIT // 2, LIMIT - 1000])
def test_what_is_there_and_what_is_added_stay_below_the_limit_together(summary, before):
    summary.write_bytes(b"x" * before)
    text = "".join(f"row {number} é\n" for number in range(200_000))
    assert len(text.encode()) > LIMIT
    append_summary(text)
    content = summary.read_bytes()[before:]
    assert before + len(content) <= LIMIT
    rows, _, note = content.decode().partition("\n\n*Cut here")
    assert text.startswith(f"{rows}\n") and note
    assert before + len(content) > LIMIT - 20  # cut no shorter than it had to be


@pytest.mark.parametrize("room", [-5, 0, 10])
def test_where_there_is_no_room_for_the_note_nothing_is_added(room):
    assert fitting("a line\n" * 10, room) == b""


@pytest.mark.parametrize("room", [0, 3])
def test_a_summary_that_is_full_is_said_to_be(summary, room):
    summary.write_bytes(b"x" * (LIMIT - room))
    assert append_summary("a line\n") == f"the step summary {summary} is full"
    assert append_summary("") is None
    assert summary.stat().st_size == LIMIT - room


def test_what_fits_to_the_byte_is_not_cut():
    text = "é\n" * 50
    assert fitting(text, len(text.encode())) == text.encode()
    assert fitting(text, len(text.encode()) - 1) != text.encode()


def test_a_summary_that_cannot_be_written_is_a_line_and_no_failure(monkeypatch, tmp_path):
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "gone/summary.md"))
    assert "cannot be written: No such file or directory" in append_summary("text\n")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", "/dev/full")
    assert "cannot be written: No space left on device" in append_summary("text\n")
    monkeypatch.delenv("GITHUB_STEP_SUMMARY")
    assert append_summary("text\n") is None


class Closed:
    def writelines(self, lines):
        raise BrokenPipeError


def test_annotations_that_nobody_reads_do_not_fail_the_job(monkeypatch):
    monkeypatch.setattr("sys.stdout", Closed())
    annotate([PASSED], "mlp")
