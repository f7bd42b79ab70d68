"""The report: one offline HTML page about one study or several. The only place that imports plotly."""

from archsearch.studies.reports.page import render, write

__all__ = ["render", "write"]
