"""Texts of a figure as they are drawn, for tests that none lies over another."""

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text


def texts_on_canvas(figure):
    """Every text that is drawn, with its box in pixels."""
    figure.set_dpi(100)
    FigureCanvasAgg(figure).draw()  # the first draw settles the layout
    found, draw = [], Text.draw

    def recording(self, renderer):
        if self.get_visible() and self.get_text().strip():
            found.append((self.get_text(), self.get_window_extent(renderer)))
        return draw(self, renderer)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Text, "draw", recording)
        FigureCanvasAgg(figure).draw()
    return found
