"""Where trials run: in this process (`inline`), or on Ray's workers (`ray`)."""

EXECUTORS = ("ray", "inline")
