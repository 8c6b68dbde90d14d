from distill_cli.cli import app

app(prog_name="distill")
