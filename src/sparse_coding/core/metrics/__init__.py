"""What is measured of a dictionary: one formula each, in the docstring of its function."""
