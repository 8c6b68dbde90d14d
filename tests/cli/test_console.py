"""Lines, tables and progress, on a terminal and in a pipe."""

import io
import os
import pty
import subprocess
import sys

import pytest
from rich.table import Table

from distill_cli.runtime import console
from distill_cli.runtime.console import human_seconds, say, show, track

PROGRESS = """
import time
from distill_cli.runtime.console import say, track
with track("teacher", 3, "epochs") as tracker:
    for _ in range(3):
        time.sleep(0.02)
        say("a line")
        tracker.advance(note="loss 0.123")
"""


def wide_table():
    table = Table(*[f"column {i} with a long name" for i in range(12)])
    table.add_row(*[f"value {i}" for i in range(12)])
    return table


def on_a_terminal(source, **environment):
    """What a Python program writes to a terminal of 80 columns."""
    master, slave = pty.openpty()
    env = {**os.environ, "TERM": "xterm", "COLUMNS": "80", **environment}
    with subprocess.Popen([sys.executable, "-c", source], env=env, stdout=slave, stderr=slave):
        os.close(slave)
        written = b""
        try:
            while chunk := os.read(master, 65536):
                written += chunk
        except OSError:  # what Linux says when the other side is closed
            pass
    os.close(master)
    return written.decode()


def test_a_line_goes_to_stderr(capsys):
    say("hello")
    assert capsys.readouterr().err == "hello\n"


def test_a_piped_table_is_complete_and_without_control_codes(capsys):
    show(wide_table())
    out = capsys.readouterr().out
    assert "column 11 with a long name" in out
    assert "\x1b" not in out
    assert "…" not in out


@pytest.mark.parametrize("columns", ["20", "1"])
def test_a_narrow_terminal_is_no_obstacle(columns):
    source = "from distill_cli.runtime.console import show\nfrom rich.table import Table\n"
    source += "table = Table('one', 'two', 'three')\ntable.add_row('1', '2', '3')\nshow(table)\nprint('done')"
    assert "done" in on_a_terminal(source, COLUMNS=columns)


def test_what_a_stream_cannot_show_is_replaced(monkeypatch):
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stderr", stream)
    say("10 €")
    assert stream.buffer.getvalue() == b"10 ?\n"


def test_a_reader_that_leaves_early_is_no_crash():
    source = "from distill_cli.runtime.console import say, show\n"
    source += "for _ in range(20000): show('a line of some length')\nsay('went on')"
    command = f'{sys.executable} -c "{source}" | head -1'
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)
    assert done.stdout == "a line of some length\n"
    assert done.stderr == "went on\n"


def test_progress_in_a_pipe_is_a_plain_line_at_the_end(capsys):
    with track("teacher", 40, "epochs", done=10) as tracker:
        for _ in range(30):
            tracker.advance(note="loss 0.123")
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("teacher: 40/40 epochs, ")
    assert ", loss 0.123, took " in line
    assert "\x1b" not in line


def test_progress_in_a_pipe_is_a_line_now_and_then(capsys, monkeypatch):
    monkeypatch.setattr(console, "SECONDS_BETWEEN_LINES", 0.0)
    with track("labels", 3000, "rows") as tracker:
        for _ in range(3):
            tracker.advance(1000)
    first, _, last = capsys.readouterr().err.splitlines()
    assert first.startswith("labels: 1,000/3,000 rows, ")
    assert first.endswith(" left")
    assert last.startswith("labels: 3,000/3,000 rows, ")


def test_progress_that_has_nothing_to_do_says_nothing(capsys):
    with track("teacher", 40, "epochs", done=40):
        pass
    assert capsys.readouterr().err == ""


def test_progress_that_fails_says_nothing_more(capsys):
    with pytest.raises(ZeroDivisionError), track("teacher", 40, "epochs") as tracker:
        tracker.advance()
        raise ZeroDivisionError
    assert capsys.readouterr().err == ""


def test_on_a_terminal_there_is_a_bar_and_lines_stand_above_it():
    written = on_a_terminal(PROGRESS)
    assert "\x1b[" in written
    assert "3/3 epochs" in written
    assert "a line" in written


@pytest.mark.parametrize("environment", [{"TERM": "dumb"}, {"CI": "true"}])
def test_a_dumb_terminal_and_ci_get_plain_lines(environment):
    written = on_a_terminal(PROGRESS, **environment)
    assert "\x1b" not in written
    assert "teacher: 3/3 epochs" in written


def test_no_color_is_respected():
    import re

    colours = re.findall(r"\x1b\[[0-9;]*[34]\d[;m]", on_a_terminal(PROGRESS, NO_COLOR="1"))
    assert colours == []


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.42, "0.4s"), (42, "42s"), (130, "2m10s"), (11100, "3h05m")]
)
def test_durations_read_well(seconds, words):
    assert human_seconds(seconds) == words
