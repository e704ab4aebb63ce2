"""Present the document `results.json`: HTML, Markdown, JSON, JUnit, SARIF, annotations.

Pure presentation: the verdict stands in the document and is never decided here.
"""

from holdfast.report.canonical import render_json
from holdfast.report.github import render_github
from holdfast.report.junit import render_junit
from holdfast.report.markdown import render_markdown
from holdfast.report.page import render_html
from holdfast.report.sarif import render_sarif

__all__ = [
    "render_github", "render_html", "render_json", "render_junit", "render_markdown",
    "render_sarif",
]  # fmt: skip
