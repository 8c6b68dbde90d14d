from __future__ import annotations

import zlib
from dataclasses import replace

import numpy as np
import pytest
from picture_files import random_pixels, save_picture
from PIL import Image, ImageCms

from distill_cli.data.pictures import PictureSplit, centre_square, decode, problem_of
from distill_cli.data.splits import Split
from distill_cli.errors import DataError


def split_of(*paths, size=8, channels=3, **others):
    folder = paths[0].parent
    return PictureSplit(
        folder,
        names=np.array([path.name for path in paths], object),
        hashes=np.arange(32 * len(paths), dtype=np.uint8).reshape(-1, 32),
        labels=np.arange(len(paths)),
        size=size,
        channels=channels,
        **others,
    )


def png_header(width, height, colour=2):
    """A PNG that claims to be large, in a few bytes."""

    def chunk(kind, content):
        checksum = zlib.crc32(kind + content).to_bytes(4, "big")
        return len(content).to_bytes(4, "big") + kind + content + checksum

    size = width.to_bytes(4, "big") + height.to_bytes(4, "big")
    head = chunk(b"IHDR", size + bytes([8, colour, 0, 0, 0]))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def test_a_picture_comes_out_channels_first_in_its_own_size(tmp_path):
    split = split_of(save_picture(tmp_path / "a.png", seed=3))
    assert isinstance(split, Split)
    assert np.array_equal(split.picture(0), random_pixels(3).transpose(2, 0, 1))  # (3, 12, 16)


def test_the_clean_picture_is_the_centre_square_at_the_wanted_size(tmp_path):
    split = split_of(save_picture(tmp_path / "a.png", seed=3), size=12)
    assert np.array_equal(split.clean(0), random_pixels(3).transpose(2, 0, 1)[:, :, 2:14])
    for size in (5, 12, 30):
        assert split_of(tmp_path / "a.png", size=size).clean(0).shape == (3, size, size)


@pytest.mark.parametrize("size", [(320, 240), (160, 300), (100, 100), (47, 131)])
def test_the_clean_picture_is_what_torchvision_makes_of_it(size):
    transforms = pytest.importorskip("torchvision.transforms")
    rows, columns = np.mgrid[: size[1], : size[0]]
    smooth = np.stack([128 + 100 * np.sin(rows / 29), 128 + 100 * np.cos(columns / 27), rows // 2], -1)
    picture = Image.fromarray(smooth.astype(np.uint8))
    theirs = transforms.CenterCrop(64)(transforms.Resize(64)(picture))
    difference = np.abs(np.asarray(centre_square(picture, 64), int) - np.asarray(theirs, int))
    assert difference.mean() < 5  # up to half a pixel of position


def test_grey_is_one_channel_on_demand(tmp_path):
    save_picture(tmp_path / "a.png")
    assert split_of(tmp_path / "a.png", channels=1).picture(0).shape == (1, 12, 16)
    Image.fromarray(random_pixels()[..., 0]).save(tmp_path / "grey.png")
    three = split_of(tmp_path / "grey.png").picture(0)
    assert three.shape == (3, 12, 16) and (three[0] == three[2]).all()


def test_a_cmyk_picture_becomes_rgb(tmp_path):
    Image.new("CMYK", (8, 8), (0, 255, 255, 0)).save(tmp_path / "a.jpg", quality=100)
    red, green, blue = split_of(tmp_path / "a.jpg").picture(0)[:, 4, 4]
    assert red > 240 and green < 15 and blue < 15


def test_sixteen_bits_are_scaled_to_eight(tmp_path):
    values = np.array([[0, 128, 129, 257, 32768, 65535]], np.uint16)
    Image.fromarray(values).save(tmp_path / "a.png")
    assert split_of(tmp_path / "a.png", channels=1).picture(0).tolist() == [[[0, 0, 1, 1, 128, 255]]]


def test_transparency_lies_on_white(tmp_path):
    palette = Image.new("P", (2, 1))
    palette.putpalette([255, 0, 0, 0, 0, 255])
    palette.putdata([0, 1])
    palette.save(tmp_path / "palette.png", transparency=0)
    assert split_of(tmp_path / "palette.png").picture(0)[:, 0].T.tolist() == [[255, 255, 255], [0, 0, 255]]
    Image.new("RGBA", (1, 1), (0, 0, 0, 51)).save(tmp_path / "half.png")
    assert split_of(tmp_path / "half.png").picture(0).ravel().tolist() == [204, 204, 204]
    Image.new("LA", (1, 1), (0, 0)).save(tmp_path / "grey.png")
    assert split_of(tmp_path / "grey.png", channels=1).picture(0).ravel().tolist() == [255]


@pytest.mark.parametrize("name", ["a.webp", "a.png", "a.gif"])
def test_of_an_animation_the_first_frame_is_taken(tmp_path, name):
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("white", "black")]
    options = {"lossless": True} if name == "a.webp" else {}
    frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:], **options)
    assert (split_of(tmp_path / name).picture(0) == 255).all()


@pytest.mark.parametrize("mode", ["RGB", "I;16"])
def test_a_picture_is_turned_as_its_exif_says(tmp_path, mode):
    values = random_pixels() if mode == "RGB" else random_pixels()[..., 0].astype(np.uint16) * 257
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise
    Image.fromarray(values).save(tmp_path / "a.png", exif=exif)
    turned = np.rot90(random_pixels(), -1)
    channels = 3 if mode == "RGB" else 1
    expected = turned.transpose(2, 0, 1)[:channels]
    assert np.array_equal(split_of(tmp_path / "a.png", channels=channels).picture(0), expected)


def test_modes_and_colour_profiles_that_occur_are_read(tmp_path):
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for mode in ("1", "L", "LA", "P", "RGB", "RGBA"):
        Image.fromarray(random_pixels()).convert(mode).save(tmp_path / f"{mode}.png", icc_profile=profile)
        assert split_of(tmp_path / f"{mode}.png").picture(0).shape == (3, 12, 16)
    Image.fromarray(random_pixels()).convert("YCbCr").save(tmp_path / "y.jpg")
    assert split_of(tmp_path / "y.jpg").picture(0).shape == (3, 12, 16)


def bad_files(folder):
    whole = save_picture(folder / "whole.png").read_bytes()
    Image.fromarray(random_pixels(height=64, width=64)).save(folder / "whole.jpg")
    jpeg = (folder / "whole.jpg").read_bytes()
    return {
        "empty.jpg": b"",
        "text.jpg": b"not a picture at all, however it is named",
        "cut_off.png": whole[: len(whole) // 2],
        "cut_off.jpg": jpeg[: len(jpeg) // 2],
        "header_only.png": whole[:40],
        "bomb.png": png_header(10_000, 10_000),
        "larger_bomb.png": png_header(60_000, 60_000),
        "postscript.jpg": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
    }


def test_a_bad_picture_is_one_line_with_its_path(tmp_path):
    for name, content in bad_files(tmp_path).items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(DataError, match=r"data\.on_error=skip") as caught:
            split_of(tmp_path / name).picture(0)
        assert str(tmp_path / name) in str(caught.value) and "\n" not in str(caught.value)
        assert problem_of(content), name


def test_a_missing_picture_is_one_line_with_its_path(tmp_path):
    with pytest.raises(DataError, match=r"nowhere\.png"):
        decode(tmp_path / "nowhere.png")


def test_the_limit_on_pixels_can_be_lowered(tmp_path):
    content = save_picture(tmp_path / "a.png").read_bytes()
    assert problem_of(content, max_pixels=192) == ""
    assert "16×12 is more than data.max_pixels=191" in problem_of(content, max_pixels=191)


def test_a_huge_picture_is_refused_before_it_takes_memory(tmp_path):
    resource = pytest.importorskip("resource")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert problem_of(png_header(8_000, 8_000)) == "8000×8000 is more than data.max_pixels=50000000"
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000  # kB


def test_a_strip_does_not_grow_into_a_huge_picture():
    strip = Image.new("RGB", (50_000, 1))
    assert centre_square(strip, 160).size == (160, 160)


def test_the_digest_covers_content_and_order_but_not_the_size(tmp_path):
    paths = [save_picture(tmp_path / f"{seed}.png", seed) for seed in range(4)]
    split = split_of(*paths)
    assert split.digest(0, 2) != split.digest(2, 4) != split.digest(1, 4)
    assert split_of(*paths, size=99).digest(0, 4) == split.digest(0, 4)
    assert split.take(np.array([1, 0, 2, 3])).digest(0, 4) != split.digest(0, 4)
    assert split.relabel(np.zeros(4, np.int64)).digest(0, 4) == split.digest(0, 4)


def test_taking_keeps_pictures_labels_and_keys_together(tmp_path):
    split = split_of(*[save_picture(tmp_path / f"{seed}.png", seed) for seed in range(4)], size=6, channels=1)
    taken = split.take(np.array([False, True, False, True]))
    assert taken.labels.tolist() == [1, 3]
    assert np.array_equal(taken.picture(1), split.picture(3))
    assert np.array_equal(taken.keys, split.keys[[1, 3]])
    assert (taken.size, taken.channels, len(taken)) == (6, 1, 2)
    assert taken.relabel(np.array([-1, 5])).labels.tolist() == [-1, 5]


def test_a_crop_is_the_centre_of_the_short_side_resized_bigger():
    """The usual test picture of ImageNet: short side 256, then the centre 224."""
    rows, columns = np.mgrid[:512, :768]
    smooth = np.stack([128 + 100 * np.sin(rows / 29), 128 + 100 * np.cos(columns / 27), rows // 4], -1)
    picture = Image.fromarray(smooth.astype(np.uint8))
    usual = picture.resize((384, 256), Image.Resampling.BILINEAR).crop((80, 16, 304, 240))
    difference = np.abs(np.asarray(centre_square(picture, 224, 0.875), int) - np.asarray(usual, int))
    assert difference.max() <= 1
    assert np.abs(np.asarray(centre_square(picture, 224), int) - np.asarray(usual, int)).max() > 5


def test_another_crop_is_another_digest_and_none_is_the_old_one(tmp_path):
    split = split_of(save_picture(tmp_path / "a.png"))
    cropped = replace(split, crop=0.875)
    assert len({split.digest(0, 1), cropped.digest(0, 1), replace(split, crop=0.9).digest(0, 1)}) == 3
    assert cropped.take(np.array([True])).crop == 0.875
