"""The report: one offline HTML page about one study or several. The only place that imports plotly."""

from studies.reports.page import render, write

__all__ = ["render", "write"]
