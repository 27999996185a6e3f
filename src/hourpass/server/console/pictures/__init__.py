"""Pictures as SVG, each a function of its values. Words stay outside of them, because the pictures stretch.

Colours come from the stylesheet by class. Each picture has a title and a description for those who do not see it, and
the page shows its numbers as a table or a list, too.
"""

from hourpass.server.console.pictures.charts import bars, curve
from hourpass.server.console.pictures.lifeline import lifeline
from hourpass.server.console.pictures.phases import phases

__all__ = ["bars", "curve", "lifeline", "phases"]
