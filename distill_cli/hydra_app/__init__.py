"""Where Typer's words become a Hydra application: the only layer between the command line and the stages."""
