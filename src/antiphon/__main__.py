"""The program: `antiphon`, or `python -m antiphon`."""

import sys


def main() -> None:
    arguments = sys.argv[1:]
    if arguments in (["--version"], ["version"]):
        from antiphon import __version__

        sys.stdout.write(f"antiphon {__version__}\n")
        return
    from antiphon.cli.commands import run

    sys.exit(run(arguments))


if __name__ == "__main__":
    main()
