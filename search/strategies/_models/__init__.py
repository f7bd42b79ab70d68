"""Models, and adapters for the libraries that provide them; private."""
