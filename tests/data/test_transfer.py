"""Which train samples are the transfer set, and that an epoch goes through these alone."""

import numpy as np
import pytest
import torch
from hydra.core.override_parser.overrides_parser import OverridesParser

from distill_cli.config.bias import read_bias
from distill_cli.config.transfer import Transfer
from distill_cli.data.holdout import LABELLED, TEST, TRANSFER, VALIDATION, chosen
from distill_cli.data.loader import Loader
from distill_cli.data.splits import UNLABELLED, ArraySplit, DataSet
from distill_cli.data.transfer import transfer_set
from distill_cli.data.views.views import open_views
from distill_cli.errors import ConfigError

SAMPLES, PETS = 400, ("ant", "bee", "cat", "dog", "7")
VIEWS = {"_target_": "distill_cli.data.views.recipes.Shift", "pixels": 1, "seed": 0, "count": 3}


def data(unlabelled: int = 0, classes=PETS) -> DataSet:
    """Sample i is of class i mod 5 and has i in its picture; the first few have no label."""
    numbers = np.arange(SAMPLES)
    images = np.zeros((SAMPLES, 2, 3, 3), np.uint8)
    images[:, 0], images[:, 1] = (numbers // 256)[:, None, None], (numbers % 256)[:, None, None]
    labels = np.where(numbers < unlabelled, UNLABELLED, numbers % 5)
    train = ArraySplit(images, labels)
    return DataSet("pets", classes, (0.0,) * 2, (1 / 255,) * 2, (2, 3, 3), train, train, train)


def chosen_of(found=None, fraction=1.0, classes=None, without=None):
    return transfer_set(Transfer(fraction, classes, without), data() if found is None else found)


def parsed(override: str):
    """The value of what was typed, as Hydra reads it."""
    return OverridesParser.create().parse_override(override).value()


def labels_of(found, of=None) -> set[int]:
    return set((of or data()).train.labels[found.index].tolist())


@pytest.mark.parametrize(
    ("classes", "without", "labels"),
    [
        (["bee", "dog"], None, {1, 3}),
        (["dog", 1], None, {1, 3}),
        (["7", 0], None, {0, 4}),  # a name before a number
        ([7, "0"], None, {0, 4}),
        (None, ["cat"], {0, 1, 3, 4}),
        (None, "cat", {0, 1, 3, 4}),
        (None, 2, {0, 1, 3, 4}),
        (None, 7, {0, 1, 2, 3}),
        (None, [0, "ant", "1"], {2, 3, 4}),
    ],
)
def test_classes_are_named_or_numbered_one_or_several(classes, without, labels):
    found = chosen_of(classes=classes, without=without)
    assert labels_of(found) == labels
    assert len(found) == SAMPLES // 5 * len(labels)


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({"without": ["cats"]}, r"transfer.without=\[cats\]: there is no class 'cats'; did you mean 'cat'\?"),
        ({"classes": ["dog", 5]}, "there is no class 5. There are ant, bee, cat, dog, 7"),
        ({"classes": ["dog", None]}, "there is no class None"),
        ({"classes": ["dog", True]}, "there is no class True"),
        ({"classes": {"dog": 1}}, "there is no class"),
        ({"classes": []}, "no train sample is left for students"),
        ({"without": [0, 1, 2, 3, 4]}, "no train sample is left for students"),
        ({"fraction": 1e-9}, "transfer.fraction=1e-09: no train sample is left"),
    ],
)
def test_what_nothing_can_be_learned_from_is_one_line(settings, line):
    with pytest.raises(ConfigError, match=line):
        chosen_of(**settings)


@pytest.mark.parametrize(
    ("unlabelled", "settings", "line"),
    [
        (0, {"classes": "dog"}, "transfer.classes=dog: she would see one class alone, and nothing to tell"),
        (0, {"without": [0, 1, 2, 7]}, "she would see one class alone"),
        (200, {"without": [0, 1, 2, 3, 4]}, "she would see no sample with a label; leave more"),
        (SAMPLES - 1, {"fraction": 0.5}, "transfer.fraction=0.5: she would see one class alone"),
        (SAMPLES, {"fraction": 0.5}, "transfer.fraction=0.5: she would see no sample with a label"),
    ],
)
def test_who_learns_from_hard_labels_needs_two_classes(unlabelled, settings, line):
    found = chosen_of(data(unlabelled), **settings)
    with pytest.raises(ConfigError, match=line):
        found.need_labels("she", "leave more")


def test_two_classes_are_enough_and_all_of_train_is_not_judged():
    chosen_of(without=[0, 1, 2]).need_labels("she", "leave more")
    chosen_of(data(unlabelled=SAMPLES)).need_labels("she", "leave more")


def test_a_transfer_set_of_no_class_has_a_name():
    found = chosen_of(data(unlabelled=200), without=[*PETS])
    assert str(found) == "200 of 400 train samples: what has no label alone"
    assert found.identity["transfer"]["classes"] == []


@pytest.mark.parametrize("name", ["true", "False", "null", "1.5", "1e3", "nan"])
def test_a_name_that_reads_as_something_else_wants_quotes(name):
    read = parsed(f"transfer.without=[{name}]")
    line = rf"transfer\.without=\[.*\]: .* in quotes it is the class: \"transfer\.without=\['{name}'\]\"$"
    with pytest.raises(ConfigError, match=line):
        chosen_of(data(classes=(*PETS[:4], name)), without=read)
    quoted = chosen_of(data(classes=(*PETS[:4], name)), without=parsed(f"transfer.without=['{name}']"))
    assert quoted.hidden == (name,)


def test_a_key_that_reads_as_something_else_wants_the_number_of_its_class():
    with pytest.raises(ConfigError, match=r"evaluate\.bias\.True: .* type the number of class 'true', 1$"):
        read_bias({True: 2.0}, ("ant", "true"), ())
    assert read_bias({1: 2.0}, ("ant", "true"), ()) == {"true": 2.0}


@pytest.mark.parametrize("fraction", [0.0, -0.1, 1.1, float("nan")])
def test_a_share_is_above_0_and_at_most_1(fraction):
    with pytest.raises(ConfigError, match=r"transfer\.fraction=.* must be in \(0, 1\]"):
        Transfer(fraction, None, None)


def test_classes_and_without_are_two_ways_to_say_one_thing():
    with pytest.raises(ConfigError, match=r"beside transfer\.classes; leave one of them out"):
        Transfer(1.0, ["cat", "dog"], ["cat"])
    one, other = chosen_of(classes=["7", "dog", "bee", "ant"]), chosen_of(without=2)
    assert np.array_equal(one.index, other.index) and one.identity == other.identity
    assert one.identity == {"transfer": {"classes": None, "without": ["cat"], "fraction": 1.0}}
    few = chosen_of(without=[0, 1, 2])
    assert few.identity["transfer"]["classes"] == ["dog", "7"] and few.identity["transfer"]["without"] is None


@pytest.mark.parametrize(
    "settings", [{}, {"without": []}, {"classes": [*PETS]}, {"fraction": 1 - 1e-12}], ids=str
)
def test_all_of_train_adds_nothing_to_a_key_however_it_is_said(settings):
    found = chosen_of(**settings)
    assert found.is_whole and found.identity == {} and len(found) == SAMPLES


def test_samples_without_a_label_are_of_no_class_and_stay_where_one_is_left_out():
    half = data(unlabelled=200)
    without, classes = chosen_of(half, without=["cat"]), chosen_of(half, classes=["ant", "bee", "dog", "7"])
    assert labels_of(without, half) == {UNLABELLED, 0, 1, 3, 4} and len(without) == 200 + 160
    assert labels_of(classes, half) == {0, 1, 3, 4} and len(classes) == 160
    assert without.identity != classes.identity
    everything = chosen_of(half, classes=[*PETS])
    assert not everything.is_whole and everything.identity["transfer"]["unlabelled"] is False


def test_without_any_label_one_class_that_is_left_is_no_mistake():
    nobody_knows = data(unlabelled=SAMPLES)
    assert labels_of(chosen_of(nobody_knows, fraction=0.5), nobody_knows) == {UNLABELLED}


def test_a_larger_share_contains_the_smaller_within_the_classes():
    small, large = (chosen_of(fraction=share, without=["cat"]) for share in (0.2, 0.6))
    assert set(small.index) < set(large.index) < set(chosen_of(without=["cat"]).index)
    assert set(small.index) == set(chosen_of(fraction=0.2).index) & set(chosen_of(without=["cat"]).index)
    assert 0.1 < len(small) / 320 < 0.3


def test_who_is_shown_never_changes_and_has_nothing_to_do_with_other_decisions():
    keys = np.arange(20_000, dtype=np.uint64)
    assert np.flatnonzero(chosen(TRANSFER, 0.25, keys[:24])).tolist() == [5, 6, 8, 9, 14, 20]
    masks = [chosen(stream, 0.5, keys) for stream in (TRANSFER, TEST, VALIDATION, LABELLED)]
    assert np.abs(np.corrcoef(masks) - np.eye(4)).max() < 5 / np.sqrt(len(keys))


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"without": ["cat"]}, "320 of 400 train samples: without cat"),
        ({"classes": ["dog", "bee"]}, "160 of 400 train samples: bee, dog alone"),
        ({"fraction": 0.5}, "of 400 train samples: a share of 0.5"),
        ({"fraction": 0.5, "without": [0]}, "of 400 train samples: without ant, a share of 0.5"),
    ],
)
def test_a_report_says_which_samples_these_were(settings, text):
    assert str(chosen_of(**settings)).endswith(text)


def test_mixtures_would_show_what_is_left_out():
    with pytest.raises(ConfigError, match=r"transfer.without=\[2\]: views mix in .* set views.mixing=none"):
        transfer_set(Transfer(1.0, None, [2]), data(), mixes=True)
    assert transfer_set(Transfer(1.0, None, None), data(), mixes=True).is_whole


@pytest.mark.parametrize("resident_bytes", [1e9, 0], ids=["in memory", "streamed"])
@pytest.mark.parametrize("each", [1, 2])
def test_an_epoch_goes_through_the_transfer_set_in_the_views_of_the_samples_own_numbers(resident_bytes, each):
    pets, cpu = data(unlabelled=100), torch.device("cpu")
    only = chosen_of(pets, classes=["bee", "dog"]).index
    views = open_views(VIEWS, (3, 3))
    loader = Loader(pets.train, pets, cpu, views, only=only, resident_bytes=resident_bytes, workers=0)
    assert (loader.size, loader.samples) == (len(only), SAMPLES) and loader.all_labelled
    for epoch in (0, 4):
        order = np.random.default_rng(epoch).permutation(loader.size)
        batches = list(loader.epoch(order, epoch, 32, each=each))
        index = torch.cat([batch.index for batch in batches]).numpy()
        assert np.array_equal(index, np.repeat(only[order], each))
        view = torch.cat([batch.view for batch in batches]).numpy()
        assert np.array_equal(view, views.view_in_epoch(only[order], epoch, each))
        centre = torch.cat([batch.inputs for batch in batches])[:, :, 1, 1].numpy()
        assert np.array_equal(centre[:, 0] * 256 + centre[:, 1], index)
        assert np.array_equal(torch.cat([batch.labels for batch in batches]).numpy(), index % 5)
