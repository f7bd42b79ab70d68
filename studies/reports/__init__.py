"""The report on one or several studies: an HTML page that works offline. Only this package imports plotly."""

from archsearch.studies.reports.page import render, write

__all__ = ["render", "write"]
