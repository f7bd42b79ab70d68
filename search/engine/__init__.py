"""The engine: the loop of a study, the asking thread, what ends it, and what a session is made of."""
