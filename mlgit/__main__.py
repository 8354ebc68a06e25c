"""``python -m mlgit``, and the console script: the command line."""

import _signal as signal  # type: ignore[import-not-found]  # signal takes longer to import


def main() -> None:
    """Run the command line.

    Until its modules are imported Ctrl-C ends the process at once, as nothing is begun; later it
    is a KeyboardInterrupt, which would leave an import half-way with a traceback.
    """
    python = signal.default_int_handler
    ours = signal.getsignal(signal.SIGINT) is python
    if ours:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from mlgit.cli.main import main as run

    if ours:
        signal.signal(signal.SIGINT, python)
    run()


if __name__ == "__main__":
    main()
