"""Engines: one module each, with

    FORMATS: tuple[str, …] the formats of the graphs that it runs, the usual one first; none: the bundle's own weights
    DEVICES: tuple[str, …] what --device may say
    def missing() -> str | None                         the package to install, or None when it is there
    def open_graph(bundle, record, *, device, threads) -> GraphRunner    record: the GraphRecord, fit to run

(of the backend without formats, the role in place of the record)

and nothing heavy imported before ``open_graph``.
"""
