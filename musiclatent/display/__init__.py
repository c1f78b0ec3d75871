"""The map that you click and hear: as a page of html, as a widget, and with live encoding."""

__all__ = ["Map", "Rows", "from_items", "page", "segment", "segments", "write"]
