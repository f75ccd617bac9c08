"""The project's commands: ``nox -s docs`` builds the report, ``nox -s tests`` verifies it."""

from __future__ import annotations

import argparse
import atexit
import contextlib
import hashlib
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import filelock  # nox itself needs it
import nox

nox.needs_version = ">=2025.2.9"
nox.options.sessions = ["lint", "tests", "docs"]
nox.options.default_venv_backend = "none"  # see install()

ROOT = Path(__file__).resolve().parent
DOCS = ROOT / "docs"
BUILD = DOCS / "_build"
HTML = BUILD / "html"
PDF = BUILD / "rnnreport.pdf"
ONLY = BUILD / "only" / "html"  # pages by themselves


@nox.session
def tests(session: nox.Session) -> None:
    """Run the tests; what follows -- goes to pytest."""
    run_tests(session, *session.posargs)


@nox.session
def quick(session: nox.Session) -> None:
    """Run the tests of the arithmetic: layers, proof, equations and nn."""
    rooms = ("layers", "proof", "equations", "nn")
    run_tests(session, *(f"tests/{room}" for room in rooms), *session.posargs)


@nox.session
def docs(session: nox.Session) -> None:
    """Run what has not run yet and build the pages; -- --help tells more."""
    options = docs_options(session)
    build(session, options)
    page = HTML / "index.html"
    if options.only:
        first = "api/index" if options.only[0] == "api" else options.only[0]
        page = ONLY / f"{first}.html"
    # nox reports the session's success first, and the address shall be the last line.
    atexit.register(print, f"Open {page.as_uri()}", flush=True)


@nox.session
def serve(session: nox.Session) -> None:
    """Build the pages and serve them on this machine; -- --port 8000 chooses the port."""
    options = docs_options(session)
    python = build(session, options)
    where = ONLY if options.only else HTML
    session.log(f"Open http://127.0.0.1:{options.port}/ (Ctrl-C ends it)")
    how = ("--bind", "127.0.0.1", "--directory", str(where))
    run(session, python, "-m", "http.server", str(options.port), *how)


@nox.session
def record(session: nox.Session) -> None:
    """Run everything on real data and write docs/recorded; what follows -- names parts of it."""
    python = install(session)
    run(session, python, "-m", "rnnreport", "record", *session.posargs)


@nox.session
def pdf(session: nox.Session) -> None:
    """Build the pages and print them into one PDF; options as for docs."""
    options = docs_options(session)
    if options.only:
        session.error("--only is for docs and serve: the PDF holds all pages")
    python = build(session, options)
    run(session, python, str(DOCS / "print_pdf.py"), str(HTML), str(PDF))
    atexit.register(print, f"Open {PDF.as_uri()}", flush=True)


@nox.session
def lint(session: nox.Session) -> None:
    """Check style and types."""
    python = install(session)
    run(session, python, "-m", "ruff", "check", ".")
    run(session, python, "-m", "ruff", "format", "--check", ".")
    run(session, python, "-m", "mypy")


@nox.session
def bench(session: nox.Session) -> None:
    """Time the package against its peers; what follows -- goes to rnnreport.bench."""
    python = install(session)
    run(session, python, "-m", "rnnreport.bench", *session.posargs)


def run_tests(session: nox.Session, *args: str) -> None:
    """Run pytest; the workers share the cores, so each computes on one."""
    python = install(session)
    env = {"OMP_NUM_THREADS": "1"}
    # Some tests take a hundred times as long as others: a worker that is done takes over some.
    how = ("--numprocesses", "auto", "--dist", "worksteal")
    run(session, python, "-m", "pytest", *how, *args, env=env)


def install(session: nox.Session) -> Path:
    """Make the environment of all sessions where it is missing or outdated; return its Python.

    One environment and not one for each session, because PyTorch alone takes up to several
    gigabytes. It is installed in one go, so that all packages are chosen to fit each other, and
    left alone until pyproject.toml changes: then nothing here needs a network.
    """
    pyproject = ROOT / "pyproject.toml"
    folder = session.cache_dir.parent / f"report-{platform.python_version()}"
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    stamp = folder / "installed"
    wanted = hashlib.sha256(f"{ROOT}\n{pyproject.read_text('utf-8')}".encode()).hexdigest()
    if python.is_file() and stamp.is_file() and stamp.read_text("utf-8") == wanted:
        return python
    session.log(f"Installing into {folder}")
    table = nox.project.load_toml(pyproject)
    packages = nox.project.dependency_groups(table, *table["dependency-groups"])
    if not python.is_file():
        run(session, sys.executable, "-m", "virtualenv", "--quiet", str(folder))
    itself = f"nox{nox.needs_version}"  # mypy reads this file too
    # Most of what is installed is never imported: what is, Python compiles then (see run()).
    how = ("--no-compile", "--editable", f"{ROOT}[cluster,fast,report]")
    run(session, python, "-m", "pip", "install", *how, *packages, itself)
    stamp.write_text(wanted, "utf-8")
    return python


def build(session: nox.Session, options: argparse.Namespace) -> Path:
    """Run the experiments, then build the pages from them; return the environment's Python."""
    with alone(session, "builds pages"):
        python = install(session)
        if options.fresh:
            for folder in BUILD.iterdir():
                if folder.is_dir():
                    shutil.rmtree(folder, ignore_errors=True)
        env = {}
        if options.profile is not None:
            env["RNNREPORT_PROFILE"] = options.profile
        if "RNNREPORT_PROGRESS" not in os.environ and os.name == "posix" and sys.stderr.isatty():
            # A page's cells have no terminal; this one is for their progress bars.
            env["RNNREPORT_PROGRESS"] = os.ttyname(sys.stderr.fileno())
        pages = ("--pages", *options.only) if options.only else ()
        run(session, python, "-m", "rnnreport", "prepare", *pages, env=env)
        # Pages differ in length: with more of them at once than cores, no core is idle at the end.
        jobs = str(2 * (os.cpu_count() or 1))
        # -T tells which cell failed, and how.
        how: tuple[str, ...] = ("-T", "-b", "html", "-j", jobs)
        html = HTML
        if options.only:
            html, env["RNNREPORT_ONLY"] = ONLY, " ".join(options.only)
        else:
            how += ("-n", "-W", "--keep-going")
        trees = str(html.parent / "doctrees")
        run(session, python, "-m", "sphinx", *how, "-d", trees, str(DOCS), str(html), env=env)
    return python


@contextlib.contextmanager
def alone(session: nox.Session, what: str) -> Iterator[None]:
    """Wait until no other process writes into the folder of built pages."""
    for folder in (BUILD, DOCS / "api"):  # what Sphinx writes; found out before the experiments run
        try:
            folder.mkdir(exist_ok=True)
            with tempfile.TemporaryFile(dir=folder):
                pass
        except OSError as error:
            session.error(
                f"{folder} cannot be written to ({error.strerror}): pages are built there"
            )
    lock = filelock.FileLock(BUILD / "lock")  # released by the system when this process dies
    try:
        lock.acquire(blocking=False)
    except filelock.Timeout:
        session.log(f"Waiting for another session, which {what} here")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def docs_options(session: nox.Session) -> argparse.Namespace:
    """Read what follows -- on the command line of docs and serve."""
    parser = argparse.ArgumentParser(prog=f"nox -s {session.name} --")
    parser.add_argument(
        "--profile",
        choices=("sample", "full", "auto"),
        help="data to run on: drawn by the package, real, or real where it is there (default)",
    )
    parser.add_argument("--fresh", action="store_true", help="forget what was built before")
    parser.add_argument(
        "--only",
        nargs="+",
        choices=["api", *sorted(page.stem for page in DOCS.glob("[!.]*.md"))],
        metavar="PAGE",
        help="build only these pages, by themselves, and run only what they rest on",
    )
    if session.name == "serve":
        parser.add_argument("--port", type=int, default=8000, help="default: 8000")
    return parser.parse_args(session.posargs)


def run(
    session: nox.Session, program: str | Path, *args: str, env: dict[str, str] | None = None
) -> None:
    """Run a program; a failure of it fails the session."""
    # Pages run in a folder of their own, where a relative path would lead elsewhere.
    paths = {
        name: str(Path(os.environ[name]).expanduser().absolute())
        for name in ("RNNREPORT_DATA", "RNNREPORT_STORE")
        if os.environ.get(name)
    }
    # Dozens of processes import the same modules: the first one's bytecode serves all of them.
    bytecode = str((session.cache_dir.parent / "bytecode").resolve())
    usual = {
        "MPLBACKEND": "Agg",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PYTHONDONTWRITEBYTECODE": "",
        "PYTHONPYCACHEPREFIX": bytecode,
    }
    session.run(str(program), *args, env={**usual, **paths, **(env or {})}, external=True)
