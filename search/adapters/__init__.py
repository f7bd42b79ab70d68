"""Objectives around what users bring: shared data, and code that pushes its metrics."""
