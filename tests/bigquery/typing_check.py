"""Type-checks GoogleSQL statements, NUL-separated on standard input; run by the emulator's Python.

Prints one verdict for each, NUL-separated: nothing when it is well-typed, else the analyzer's message.
"""

import sys

from zetasql.api import Analyzer, CatalogBuilder, TableBuilder
from zetasql.types import AnalyzerOptions, LanguageOptions, TypeKind, ZetaSQLBuiltinFunctionOptions

NAMES = ("demo.d.ecommerce_metrics", "demo.d.ecommerce_metrics__staging_x")
COLUMNS = {
    "window_start": TypeKind.TYPE_TIMESTAMP,
    "window_end": TypeKind.TYPE_TIMESTAMP,
    "metric": TypeKind.TYPE_STRING,
    "dimension": TypeKind.TYPE_STRING,
    "currency": TypeKind.TYPE_STRING,
    "event_count": TypeKind.TYPE_INT64,
    "revenue": TypeKind.TYPE_NUMERIC,
    "unique_visitors": TypeKind.TYPE_INT64,
    "visitors_sketch": TypeKind.TYPE_BYTES,
    "revision": TypeKind.TYPE_INT64,
    "updated_at": TypeKind.TYPE_TIMESTAMP,
    "generation": TypeKind.TYPE_INT64,
    "is_final": TypeKind.TYPE_BOOL,
}


def analyzer() -> Analyzer:
    language = LanguageOptions.maximum_features()
    catalog = CatalogBuilder("demo").with_builtin_functions(ZetaSQLBuiltinFunctionOptions(language_options=language))
    for name in NAMES:
        table = TableBuilder(name)
        for column, kind in COLUMNS.items():
            table = table.add_column(column, kind)
        catalog = catalog.add_table(table.build())
    writer = TableBuilder("demo.d.ecommerce_metrics__writer").add_column("turn", TypeKind.TYPE_INT64)
    catalog = catalog.add_table(writer.build())
    return Analyzer(AnalyzerOptions(language_options=language), catalog.build())


def verdict(checker: Analyzer, statement: str) -> str:
    try:
        checker.analyze_statement(statement)
    except Exception as error:
        return str(error) or type(error).__name__
    return ""


if __name__ == "__main__":
    checking = analyzer()
    sys.stdout.write("\0".join(verdict(checking, text) for text in sys.stdin.read().split("\0")))
