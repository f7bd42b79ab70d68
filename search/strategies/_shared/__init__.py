"""What several strategies have in common; not public."""
