"""The command line: ``python -m bench VERB``."""

from __future__ import annotations

import argparse
import importlib
import io
import sys
from contextlib import redirect_stdout, suppress
from typing import Any, TextIO, cast

from bench import __version__
from bench.common.errors import EXIT_BAD_INPUT, EXIT_INTERRUPTED, BenchError
from bench.common.files import explain_os_error
from bench.common.interruption import describe_interruption
from bench.common.plugins import load_plugins
from bench.common.temporary import remove_abandoned
from bench.common.text import is_utf8, strip_controls

VERBS = {
    "assess": "do the whole job on a dataset: measure, profile, judge the claims, report",
    "datasets": "list, verify and fetch the image sets",
    "variants": "show the models known here and the checkpoints found for them",
    "encode": "encode one picture into a file that knows what it was coded with",
    "decode": "decode one such file into a picture",
    "evaluate": "measure codecs on a dataset: encode, decode in a second process, score, store",
    "jobs": "list, merge and cancel what runs on a cluster",
    "reproduce": "measure a sample of stored rows again on this machine, and compare",
    "crosscheck": "decode files under other settings and on other machines, and compare",
    "score": "compute quality metrics of decoded pictures or kept files",
    "profile": "measure latency, stages, memory and operations of the models",
    "anchors": "list, show, check, import and export published rate-distortion curves",
    "bdrate": "BD-rate between any two curves",
    "claims": "judge the authors' claims by stored rows, and compare with the accepted state",
    "results": "show, migrate and tidy what is stored",
    "report": "rebuild tables, plots and the HTML page from stored rows",
    "train": "train one variant at one λ",
    "search": "search a balanced recipe's hyper-parameters, or analyse trials",
    "miniatures": "train the miniatures of every variant",
    "benchmark": "time parts of the suite on this machine",
}


def main(argv: list[str] | None = None) -> int:
    """Run one verb; return the process' exit status (0 done, 1 something failed, 2 bad input, 130 interrupted)."""
    arguments = sys.argv[1:] if argv is None else argv
    try:
        with redirect_stdout(cast(TextIO, _PlainOutput(sys.stdout))):
            return _run(arguments)
    except BenchError as error:
        return _tell(error)
    except KeyboardInterrupt:
        print(describe_interruption(), file=sys.stderr)
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        return 0
    except OSError as error:
        if error.errno is None:  # none of the operating system's
            raise
        return _tell(explain_os_error(error))
    except UnicodeEncodeError as error:
        if is_utf8(error.object):
            raise
        return _tell(BenchError(f"a library takes no name that is not UTF-8, as this one: {error.object[:200]}",
                                "rename it, or choose another place"))


def _run(arguments: list[str]) -> int:
    load_plugins()
    parser = _parser(arguments[0] if arguments else "")
    args = parser.parse_args(arguments)
    if args.verb is None:
        parser.print_help()
        return EXIT_BAD_INPUT
    with suppress(OSError):  # there may be no place for temporary files, and no need of one
        remove_abandoned()
    return importlib.import_module(f"bench.commands.{args.verb}").run(args)


def _tell(error: BenchError) -> int:
    print(strip_controls(f"error: {error}"), file=sys.stderr)
    return error.exit_code


class _PlainOutput:
    """Standard output on which names of any letters are text: none moves the cursor, and none is refused."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        if isinstance(stream, io.TextIOWrapper):  # else "λ" would be an error on a terminal that doesn't have it
            stream.reconfigure(errors="backslashreplace")

    def write(self, text: str) -> int:
        self._stream.write(strip_controls(text))
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def _parser(wanted: str) -> argparse.ArgumentParser:
    """Build the parser; only what the wanted verb says of itself is imported, so that ``--help`` is quick."""
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description="Benchmarks of learned image codecs on real images with real bitstreams.",
        epilog="Exit status: 0 done, 1 measured but something failed or got worse, 2 bad input or configuration, "
               "128 + n ended by signal n.",
    )
    parser.add_argument("--version", action="version", version=f"bench {__version__}")
    verbs = parser.add_subparsers(dest="verb", metavar="VERB")
    for verb, summary in VERBS.items():
        command = verbs.add_parser(
            verb, help=summary, description=summary[0].upper() + summary[1:] + ".",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        if verb == wanted:
            usage = importlib.import_module(f"bench.commands.usage.{verb}")
            command.description = usage.__doc__
            usage.add_arguments(command)
    return parser
