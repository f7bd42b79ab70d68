"""Models and the adapters of the libraries that they come from; not public."""
