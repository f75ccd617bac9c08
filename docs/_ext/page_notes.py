"""Notes on pages, kept with Sphinx's environment from one build to the next."""

from __future__ import annotations

from collections.abc import Set
from typing import Any, ClassVar

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.environment.collectors import EnvironmentCollector


class PageNotes(EnvironmentCollector):
    """One note for each page, whichever process reads it; it goes when the page does."""

    name: ClassVar[str]
    """What the environment keeps the notes under."""

    @classmethod
    def of(cls, env: BuildEnvironment) -> dict[str, Any]:
        """Return the notes by page."""
        if not hasattr(env, cls.name):
            setattr(env, cls.name, {})
        notes: dict[str, Any] = getattr(env, cls.name)
        return notes

    def clear_doc(self, app: Sphinx, env: BuildEnvironment, docname: str) -> None:  # noqa: ARG002
        """Forget a page's note."""
        self.of(env).pop(docname, None)

    def merge_other(
        self,
        app: Sphinx,  # noqa: ARG002
        env: BuildEnvironment,
        docnames: Set[str],
        other: BuildEnvironment,
    ) -> None:
        """Take over what another process has read."""
        self.of(env).update({page: k for page, k in self.of(other).items() if page in docnames})

    def process_doc(self, app: Sphinx, doctree: nodes.document) -> None:
        """Look at a page that has been read."""
