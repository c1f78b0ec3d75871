"""The map that you click and hear: as a page of html, as a widget, and with live encoding."""

from musiclatent.explorer.onepage import from_items, page, segment, segments, write
from musiclatent.explorer.widget import Map, Rows

__all__ = ["Map", "Rows", "from_items", "page", "segment", "segments", "write"]
