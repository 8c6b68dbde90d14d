"""The command as it is installed, but with a fault at one operation. Run as a script:

python command.py DIRECTORY KIND AT FOR_EVER VERB [OVERRIDE ...]
"""

import sys

from operations import Fault, Operations

from distill_cli.cli import app


def main(directory: str, kind: str, at: str, for_ever: str, *words: str) -> None:
    sys.argv = ["distill", *words]
    with Operations(directory, Fault(kind, int(at), for_ever == "True")).watched():
        app()


if __name__ == "__main__":
    main(*sys.argv[1:])
