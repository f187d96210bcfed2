"""A figure that a notebook shows as a picture, without pyplot. Imports matplotlib."""

from __future__ import annotations

import io

from matplotlib import figure

DOTS, SHOWN = 144, 96  # an inch: as drawn, and as a page shows it


class Figure(figure.Figure):
    """A matplotlib figure; IPython asks it for its picture where no backend of pyplot's shows figures."""

    def _repr_png_(self) -> tuple[bytes, dict[str, int]]:
        buffer = io.BytesIO()
        self.savefig(buffer, format="png", dpi=DOTS)
        width, height = (round(SHOWN * side) for side in self.get_size_inches())
        return buffer.getvalue(), {"width": width, "height": height}
