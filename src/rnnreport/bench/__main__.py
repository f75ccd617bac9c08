"""Run the benchmarks that are named, or all of them."""

from __future__ import annotations

import argparse
import platform
from collections.abc import Sequence

import torch

from rnnreport.bench import captioning, layers, parallel, proof, scaling, style, text, transfer


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print tables."""
    parser = argparse.ArgumentParser(prog="python -m rnnreport.bench", description=__doc__)
    subjects = parser.add_subparsers(dest="subject", metavar="SUBJECT")
    for name, module in _SUBJECTS.items():
        module.add_options(subjects.add_parser(name, description=module.__doc__))
    options = parser.parse_args(arguments)
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, {platform.machine()}\n")
    for name, module in _SUBJECTS.items():
        if options.subject in (None, name):
            own = argparse.ArgumentParser()
            module.add_options(own)
            module.run(options if options.subject else own.parse_args([]))


_SUBJECTS = {
    "layers": layers,
    "scaling": scaling,
    "proof": proof,
    "captioning": captioning,
    "parallel": parallel,
    "text": text,
    "transfer": transfer,
    "style": style,
}


if __name__ == "__main__":
    main()
