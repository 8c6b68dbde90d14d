"""A view is a pure function of (recipe, seed, view, sample): nothing about how it is asked for matters."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from distill_cli.data.loader import Loader
from distill_cli.data.splits import ArraySplit, DataSet
from distill_cli.data.views.views import open_views

RECIPES = {
    "none": {"_target_": "distill_cli.data.views.recipes.NoAugmentation"},
    "shift": {"_target_": "distill_cli.data.views.recipes.Shift", "pixels": 2},
    "crop_flip": {"_target_": "distill_cli.data.views.recipes.CropFlip", "padding": 3},
    "random_resized_crop": {"_target_": "distill_cli.data.views.recipes.RandomResizedCrop"},
    "transforms": {
        "_target_": "distill_cli.data.views.recipes.Transforms",
        "transforms": [{"_target_": "torchvision.transforms.v2.TrivialAugmentWide"}],
    },
}
MIXINGS = {
    "none": None,
    "mixup": {"_target_": "distill_cli.data.views.mixing.Mixup", "beta": 0.4},
    "cutmix": {"_target_": "distill_cli.data.views.mixing.CutMix", "beta": 1.0},
}
SAMPLES = 23


def data(samples: int = SAMPLES) -> DataSet:
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (samples, 3, 12, 12), dtype=np.uint8)
    split = ArraySplit(images, np.arange(samples) % 4)
    classes = ("a", "b", "c", "d")
    return DataSet("toy", classes, (0.5, 0.4, 0.3), (0.2, 0.3, 0.4), (3, 12, 12), split, split, split)


def views(recipe: str, mixing: str = "none", seed: int = 0, count: int | None = 4):
    spec = {**RECIPES[recipe], "seed": seed, "count": count, "mixing": MIXINGS[mixing]}
    return open_views(spec, (12, 12))


def loader(
    recipe: str, mixing: str = "none", *, resident: bool = True, workers: int = 0, **options
) -> Loader:
    size = 1e9 if resident else 0
    cpu = torch.device("cpu")
    return Loader(
        data().train, data(), cpu, views(recipe, mixing, **options), resident_bytes=size, workers=workers
    )


def pictures(source: Loader, index: np.ndarray, view: np.ndarray, batch_size: int) -> dict:
    """(sample, view) -> (pixels, label, partner's label, share)."""
    found = {}
    for batch in source.view(index, view, batch_size):
        for row in range(len(batch)):
            partner = None if batch.partner_labels is None else int(batch.partner_labels[row])
            share = None if batch.share is None else float(batch.share[row])
            key = (int(batch.index[row]), int(batch.view[row]))
            found[key] = (batch.inputs[row].clone(), int(batch.labels[row]), partner, share)
    return found


def all_pairs() -> tuple[np.ndarray, np.ndarray]:
    view, index = np.divmod(np.arange(3 * SAMPLES), SAMPLES)
    return index, view


def assert_same(ours: dict, theirs: dict) -> None:
    assert ours.keys() == theirs.keys()
    for key, (pixels, *rest) in ours.items():
        assert torch.equal(pixels, theirs[key][0]), key
        assert rest == list(theirs[key][1:]), key


@pytest.mark.parametrize("mixing", MIXINGS)
@pytest.mark.parametrize("recipe", RECIPES)
def test_a_view_is_the_same_in_every_batch_size_and_order(recipe, mixing):
    index, view = all_pairs()
    whole = pictures(loader(recipe, mixing), index, view, len(index))
    shuffled = np.random.default_rng(1).permutation(len(index))
    again = pictures(loader(recipe, mixing), index[shuffled], view[shuffled], 5)
    assert_same(whole, again)


@pytest.mark.parametrize("workers", [0, 1, 2])
@pytest.mark.parametrize("mixing", MIXINGS)
@pytest.mark.parametrize("recipe", ["crop_flip", "random_resized_crop", "transforms"])
def test_a_view_is_the_same_resident_and_streamed_by_any_number_of_workers(recipe, mixing, workers):
    index, view = all_pairs()
    resident = pictures(loader(recipe, mixing), index, view, 8)
    streamed = pictures(loader(recipe, mixing, resident=False, workers=workers), index, view, 7)
    assert_same(resident, streamed)


def test_workers_serve_one_epoch_after_another():
    streamed = loader("crop_flip", resident=False, workers=2)
    resident = loader("crop_flip")
    order = np.arange(SAMPLES)
    for epoch in range(3):
        pairs = zip(streamed.epoch(order, epoch, 6), resident.epoch(order, epoch, 6), strict=True)
        assert all(torch.equal(ours.inputs, theirs.inputs) for ours, theirs in pairs)


@pytest.mark.parametrize("recipe", ["shift", "crop_flip", "random_resized_crop", "transforms"])
def test_views_seeds_and_samples_differ(recipe):
    index, view = all_pairs()
    one = pictures(loader(recipe), index, view, 8)
    other_seed = pictures(loader(recipe, seed=1), index, view, 8)
    differing = sum(not torch.equal(one[key][0], other_seed[key][0]) for key in one)
    assert differing > len(one) / 2
    between_views = sum(not torch.equal(one[i, 0][0], one[i, 1][0]) for i in range(SAMPLES))
    assert between_views > SAMPLES / 2


def test_every_sample_goes_through_all_views_and_a_batch_mixes_them():
    chosen = views("shift", count=4)
    index = np.arange(1000)
    seen = np.stack([chosen.view_in_epoch(index, epoch) for epoch in range(4)])
    assert (np.sort(seen, axis=0) == np.arange(4)[:, None]).all()
    assert (np.bincount(seen[0]) > 200).all()


def test_without_a_count_every_epoch_has_its_own_view():
    chosen = views("shift", count=None)
    assert set(chosen.view_in_epoch(np.arange(10), 7)) == {7}


def test_asking_for_views_leaves_torchs_generator_alone():
    before = torch.get_rng_state()
    index, view = all_pairs()
    pictures(loader("transforms"), index, view, 8)
    assert torch.equal(before, torch.get_rng_state())


def test_a_shift_moves_the_picture_and_fills_with_black():
    recipe = views("shift").recipe
    image = torch.arange(1, 10, dtype=torch.uint8).view(1, 1, 3, 3)
    still = recipe(image, torch.tensor([[0.5, 0.5]]))  # the middle of 0 .. 4
    assert torch.equal(still, image)
    moved = recipe(image, torch.tensor([[0.0, 0.5]]))  # the window starts two rows above
    assert moved[0, 0].tolist() == [[0, 0, 0], [0, 0, 0], [1, 2, 3]]


def test_shifts_are_uniform_over_all_offsets():
    drawn = views("shift", count=None).draw(np.arange(50_000), np.zeros(50_000, np.int64), 50_000)
    rows = np.bincount((drawn.recipe[:, 0] * 5).astype(int), minlength=5)
    assert rows.min() > 9_500 and rows.max() < 10_500


def test_a_flip_mirrors_columns():
    recipe = views("crop_flip").recipe
    image = torch.arange(9, dtype=torch.uint8).view(1, 1, 3, 3)
    same = recipe(image, torch.tensor([[0.5, 0.5, 0.9]]))
    mirrored = recipe(image, torch.tensor([[0.5, 0.5, 0.1]]))
    assert torch.equal(same, image)
    assert torch.equal(mirrored, image.flip(-1))


def test_mixup_is_the_weighted_mean_of_two_views():
    index = np.arange(SAMPLES)
    source, plain = loader("crop_flip", "mixup"), loader("crop_flip")
    (batch,) = source.view(index, np.zeros_like(index), SAMPLES)
    drawn = source.views.draw(index, np.zeros_like(index), SAMPLES)
    (own,) = plain.view(index, np.zeros_like(index), SAMPLES)
    (partner,) = plain.view(drawn.partner, np.zeros_like(index), SAMPLES)
    share = batch.share.view(-1, 1, 1, 1)
    torch.testing.assert_close(batch.inputs, share * own.inputs + (1 - share) * partner.inputs)
    assert torch.equal(batch.partner_labels, partner.labels)


def test_cutmix_hands_on_the_part_of_the_pixels_that_is_left():
    index = np.arange(SAMPLES)
    source, plain = loader("none", "cutmix"), loader("none")
    (batch,) = source.view(index, np.zeros_like(index), SAMPLES)
    (own,) = plain.view(index, np.zeros_like(index), SAMPLES)
    kept = (batch.inputs == own.inputs).all(dim=1).float().mean(dim=(1, 2))
    drawn = source.views.draw(index, np.zeros_like(index), SAMPLES)
    foreign = drawn.partner != index
    torch.testing.assert_close(batch.share[foreign], kept[foreign], rtol=0, atol=1e-6)


@pytest.mark.parametrize("beta", [0.2, 1.0, 3.0])
def test_shares_follow_the_beta_distribution(beta):
    from distill_cli.data.views.mixing import beta_quantile

    uniform = (np.arange(200_000) + 0.5) / 200_000
    shares = beta_quantile(beta, uniform)
    assert shares.mean() == pytest.approx(0.5, abs=1e-3)
    assert shares.var() == pytest.approx(1 / (4 * (2 * beta + 1)), rel=0.01)


def test_a_clean_loader_yields_normalised_pictures_in_order():
    source = Loader(data().test, data(), torch.device("cpu"))
    batches = list(source.clean(10))
    assert [len(batch) for batch in batches] == [10, 10, 3]
    assert torch.cat([batch.index for batch in batches]).tolist() == list(range(SAMPLES))
    expected = (data().test.images[0] / 255 - np.array([0.5, 0.4, 0.3])[:, None, None]) / np.array(
        [0.2, 0.3, 0.4]
    )[:, None, None]
    np.testing.assert_allclose(batches[0].inputs[0].numpy(), expected, rtol=1e-5, atol=1e-5)


def test_a_process_that_ends_with_workers_alive_does_not_hang():
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "import numpy as np, test_replay\n"
        "source = test_replay.loader('crop_flip', resident=False, workers=2)\n"
        "next(iter(source.epoch(np.arange(20), 0, 5)))\n"
    )
    folder = str(Path(__file__).parent)
    subprocess.run([sys.executable, "-c", code, folder], check=True, timeout=60)
