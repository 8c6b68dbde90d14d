"""Events on the disk, read back with TensorBoard's own reader."""

import pytest
from runs import EPOCHS, RUN, follow

from distill_cli.trackers.tensorboard import TensorBoard

pytest.importorskip("tensorboard")


@pytest.fixture
def events(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    def read(name: str = RUN.name) -> EventAccumulator:
        return EventAccumulator(str(tmp_path / "student" / name)).Reload()

    return read


def hparams(events, tag: str):
    from tensorboard.plugins.hparams import metadata, plugin_data_pb2

    content = events.summary_metadata[tag].plugin_data.content
    assert events.summary_metadata[tag].plugin_data.plugin_name == metadata.PLUGIN_NAME
    return plugin_data_pb2.HParamsPluginData.FromString(content)


def test_figures_are_scalars_over_epochs(tmp_path, events):
    follow(TensorBoard(str(tmp_path)))
    found = events()
    assert set(found.Tags()["scalars"]) == {"loss", "lr", "validation_top1"}
    for tag in ("loss", "lr"):
        points = [(point.step, point.value) for point in found.Scalars(tag)]
        assert points == [(n, pytest.approx(epoch[tag])) for n, epoch in enumerate(EPOCHS, start=1)]
    assert [point.step for point in found.Scalars("validation_top1")] == [2]


def test_a_figure_can_be_seen_while_the_run_goes_on(tmp_path, events):
    recorder = TensorBoard(str(tmp_path)).start(RUN)
    recorder.record(1, {"loss": 0.5})
    assert [point.value for point in events().Scalars("loss")] == [0.5]
    recorder.end("finished")


def test_settings_are_hyperparameters_of_their_kinds(tmp_path, events):
    follow(TensorBoard(str(tmp_path)))
    values = hparams(events(), "_hparams_/session_start_info").session_start_info.hparams
    assert values["temperature"].number_value == 4 and values["student"].string_value == "mlp_24"
    assert values["student.optimizer.nesterov"].bool_value is True
    assert values["student.ema"].string_value == "null" and values["stage"].string_value == "student"


@pytest.mark.parametrize(("status", "wanted"), [("finished", 1), ("failed", 2), ("interrupted", 2)])
def test_the_session_says_how_it_ended(tmp_path, events, status, wanted):
    TensorBoard(str(tmp_path)).start(RUN).end(status)
    assert hparams(events(), "_hparams_/session_end_info").session_end_info.status == wanted


def test_the_command_and_the_key_are_a_text(tmp_path, events):
    follow(TensorBoard(str(tmp_path)))
    (tensor,) = events().Tensors("command")
    text = tensor.tensor_proto.string_val[0].decode()
    assert RUN.command in text and RUN.key in text and RUN.group in text


def test_a_second_run_of_one_key_is_not_drawn_into_the_first(tmp_path, events):
    for _ in range(2):
        follow(TensorBoard(str(tmp_path)))
    assert [len(events(name).Scalars("loss")) for name in (RUN.name, f"{RUN.name}.2")] == [2, 2]
