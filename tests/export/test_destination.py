"""Where an export goes: whole or not at all, and never over something else."""

import errno
import json
from pathlib import Path

import pytest

from distill_cli.artifacts.store import Place
from distill_cli.errors import ConfigError
from distill_cli.export.destination import Destination

STUDENT = Place(Path("artifacts"), "students", "small", {"seed": 0})


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def write(output="out", student=STUDENT, form="onnx", content="weights"):
    destination = Destination.of(output, student, form)
    with destination.written() as work:
        (work / "model").write_text(content)
        size = destination.describe(work, {"max_error": 0.5})
    return destination.directory, size


def test_without_a_name_it_lies_under_the_student_and_the_format():
    directory, _ = write(output=None)
    assert directory == Path("exports", STUDENT.name, "onnx") and (directory / "model").is_file()


def test_it_says_whose_it_is_and_what_is_in_it():
    directory, size = write()
    notes = json.loads((directory / "export.json").read_text())
    assert (notes["student"], notes["key"], notes["format"]) == (STUDENT.name, STUDENT.key, "onnx")
    assert notes["files"]["model"]["bytes"] == 7 and notes["max_error"] == 0.5
    assert size == sum(path.stat().st_size for path in directory.iterdir())


def test_nothing_is_seen_before_it_is_whole():
    destination = Destination.of("out", STUDENT, "onnx")
    with destination.written() as work:
        (work / "model").write_text("half")
        assert not Path("out").exists()
    assert Path("out/model").read_text() == "half"


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_after_an_error_the_former_export_is_still_there_and_nothing_else(error):
    write(content="former")
    with pytest.raises(error), Destination.of("out", STUDENT, "onnx").written() as work:
        (work / "model").write_text("half")
        raise error
    assert Path("out/model").read_text() == "former" and list(Path().iterdir()) == [Path("out")]


def test_the_same_export_is_replaced_with_all_its_files():
    directory, _ = write(content="former")
    (directory / "stray").write_text("")
    write(content="new")
    assert {path.name for path in directory.iterdir()} == {"model", "export.json"}
    assert (directory / "model").read_text() == "new" and list(Path().iterdir()) == [Path("out")]


def test_an_empty_directory_is_as_good_as_none():
    Path("out").mkdir()
    write()


def test_a_link_to_a_directory_stays_one():
    Path("real").mkdir()
    Path("out").symlink_to("real")
    write()
    assert Path("out").is_symlink() and Path("real/model").is_file()


def test_what_a_killed_export_left_is_swept():
    leftovers = [Path(f".out-{STUDENT.key[:12]}.{end}") for end in ("work", "former")]
    for leftover in leftovers:
        leftover.mkdir()
        (leftover / "half").write_text("")
    directory, _ = write()
    assert not any(leftover.exists() for leftover in leftovers) and not (directory / "half").exists()


@pytest.mark.parametrize(
    ("name", "content"),
    [("thesis.txt", "years"), ("export.json", "{}"), ("export.json", "not JSON"), ("export.json", "[1]")],
)
def test_what_is_not_an_export_is_left_alone(name, content):
    Path("out").mkdir()
    Path("out", name).write_text(content)
    with pytest.raises(ConfigError, match=r"out is not empty .*export.output"):
        write()
    assert Path("out", name).read_text() == content


def test_the_export_of_another_student_or_format_is_left_alone():
    write()
    other = Place(Path("artifacts"), "students", "other", {"seed": 1})
    for student, form in ((other, "onnx"), (STUDENT, "hub")):
        with pytest.raises(ConfigError, match=rf"another export \(onnx of {STUDENT.name}\)"):
            write(student=student, form=form)
    assert Path("out/model").read_text() == "weights"


def test_what_came_into_the_place_meanwhile_is_left_alone():
    destination = Destination.of("out", STUDENT, "onnx")
    with pytest.raises(ConfigError, match="is not empty"), destination.written():
        Path("out").mkdir()
        Path("out/thesis.txt").write_text("years")
    assert Path("out/thesis.txt").read_text() == "years"


def test_a_file_is_no_directory():
    Path("out").write_text("")
    with pytest.raises(ConfigError, match=r"export.output=out: out is a file") as raised:
        write()
    assert raised.value.exit_code == 2


def test_a_file_on_the_way_is_no_directory_either():
    Path("afile").write_text("")
    with pytest.raises(ConfigError, match=r"^export.output=afile/x/y: afile is a file; name a directory$"):
        write(output="afile/x/y")


@pytest.mark.parametrize("root", ["/proc", "/sys"])
def test_a_place_where_nobody_can_write_is_named_as_it_was_typed(root):
    if not Path(root).is_dir():
        pytest.skip(f"there is no {root}")
    with pytest.raises(ConfigError) as raised:
        write(output=f"{root}/x")
    assert str(raised.value).startswith(f"export.output={root}/x: ")
    assert str(raised.value).endswith("; name a directory that can be written")


def test_a_mount_point_is_refused_before_anything_is_written():
    with pytest.raises(ConfigError, match=r"^export.output=/proc is a mount point; name a directory in it"):
        Destination.of("/proc", STUDENT, "onnx")


@pytest.mark.parametrize("operation", ["mkdir", "rename"])
@pytest.mark.parametrize(
    ("number", "kind"),
    [(errno.EBUSY, ConfigError), (errno.EACCES, ConfigError), (errno.ENOSPC, OSError), (errno.EIO, OSError)],
)
def test_what_the_place_refuses_is_a_wrong_setting_and_what_the_disk_refuses_is_not(
    monkeypatch, operation, number, kind
):
    def refuse(path, *others):
        raise OSError(number, "no", str(path))

    monkeypatch.setattr(Path, operation, refuse)
    with pytest.raises(kind, match="no"):
        write()


def test_where_the_new_export_cannot_take_its_place_the_former_one_stays(monkeypatch):
    write(content="former")
    rename = Path.rename

    def refuse(path, target):
        if path.name.endswith(".work"):
            raise OSError(errno.EIO, "no", str(path))
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(OSError, match="no"):
        write(content="new")
    assert Path("out/model").read_text() == "former" and list(Path().iterdir()) == [Path("out")]
