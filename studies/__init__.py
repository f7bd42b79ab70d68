"""Records, history and store of a study, and the reports on it."""
