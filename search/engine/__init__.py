"""The engine: the search loop, asynchronous suggestions, stopping, and the setup of a session."""
