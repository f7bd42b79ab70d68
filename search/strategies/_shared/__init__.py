"""Code that several strategies share; private."""
