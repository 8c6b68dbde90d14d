"""A trained student in a form that other programs read; above it is only the stage."""
