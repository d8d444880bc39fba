"""Results as one pandas table beside the published figures, and its export.

``result`` a row of figures that ``handlib.protocols.evaluate`` gave, ``own`` a row from predictions or a file of
anyone's, ``collect`` the rows of all runs under a folder, ``beside_published`` rows beside the published ones with the
difference, ``published`` those alone, ``export`` CSV, Parquet, LaTeX, Markdown and HTML.
"""

from handlib.tables.facts import SUMMARY, column, published
from handlib.tables.pages import html
from handlib.tables.rows import FACTS, NO_RECEIPT, beside_published, collect, own, record, result
from handlib.tables.writing import export

__all__ = [
    "FACTS",
    "NO_RECEIPT",
    "SUMMARY",
    "beside_published",
    "column",
    "collect",
    "export",
    "html",
    "own",
    "published",
    "record",
    "result",
]
