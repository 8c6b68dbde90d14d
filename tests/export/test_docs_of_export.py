"""The Python that docs/export.md shows makes of any picture the pixels that the student was evaluated on."""

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from students import student_of
from torch import nn

from distill_cli.data.pictures import PictureSplit

PAGE = Path(__file__).parents[2] / "docs/export.md"
PIXELS = np.random.default_rng(0).integers(0, 256, (23, 37, 4), dtype=np.uint8)


@pytest.fixture(scope="module")
def shown() -> dict:
    (code,) = re.findall(r"^```python pictures\.py\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    names: dict = {}
    exec(compile(code, "pictures.py", "exec"), names)
    return names


def pictures(folder: Path) -> list[Path]:
    """Wide, tall, grey, with transparency, with a palette, turned by EXIF, and a strip."""
    colour = Image.fromarray(PIXELS[..., :3])
    turned = Image.Exif()
    turned[0x0112] = 6
    made = {
        "wide.png": colour,
        "tall.png": colour.transpose(Image.Transpose.ROTATE_90),
        "grey.png": colour.convert("L"),
        "glass.png": Image.fromarray(PIXELS),
        "palette.png": colour.quantize(16),
        "strip.png": colour.resize((3, 50)),
    }
    for name, picture in made.items():
        picture.save(folder / name)
    colour.save(folder / "turned.jpg", exif=turned)
    return [folder / name for name in (*made, "turned.jpg")]


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [8, 64])
def test_the_code_shown_makes_the_pixels_of_the_data_set(channels, size, shown, tmp_path):
    steps = student_of(nn.Identity(), (channels, size, size)).preprocessing(normalised_by="the model")
    paths = pictures(tmp_path)
    names, nothing = np.array([path.name for path in paths], object), np.zeros((len(paths), 32), np.uint8)
    split = PictureSplit(tmp_path, names, nothing, np.zeros(len(paths), np.int64), size, channels)
    for index, path in enumerate(paths):
        np.testing.assert_array_equal(shown["pixels_of"](path, steps), split.clean(index), err_msg=path.name)


def test_a_picture_is_cut_to_the_proportions_of_a_model_that_is_not_square(shown, tmp_path):
    picture = np.zeros((20, 60, 3), np.uint8)
    picture[:, 10:50] = 255  # the middle two thirds: 40 by 20
    Image.fromarray(picture).save(tmp_path / "wide.png")
    steps = student_of(nn.Identity(), (3, 5, 10)).preprocessing(normalised_by="the model")
    pixels = shown["pixels_of"](tmp_path / "wide.png", steps)
    assert pixels.shape == (3, 5, 10) and pixels.min() == 255
