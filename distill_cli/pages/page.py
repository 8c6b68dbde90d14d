"""From a template and values to one HTML file that needs nothing else: no script, no font, no other file."""

from __future__ import annotations

import base64
import io
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from jinja2 import Environment
    from numpy.typing import NDArray


def render(template: str, **values: Any) -> str:
    """The page. A template extends `base.html`; what it shows is escaped unless marked `|safe`."""
    return _environment().get_template(template).render(**values)


def picture(pixels: NDArray[np.uint8]) -> str:
    """A picture (channels, height, width) as a `data:` URL."""
    from PIL import Image

    image = Image.fromarray(pixels[0] if len(pixels) == 1 else pixels[:3].transpose(1, 2, 0))
    file = io.BytesIO()
    image.save(file, format="PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()


@cache
def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    return Environment(
        loader=PackageLoader("distill_cli.pages"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
