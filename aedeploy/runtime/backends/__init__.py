"""Engines: one module each, with

    FORMAT: str | None     the format of the graphs that it runs; None: the bundle's own weights
    DEVICES: tuple[str, …] what --device may say
    def missing() -> str | None                         the package to install, or None when it is there
    def open_graph(bundle, role, *, device, threads, allow_failed) -> GraphRunner

and nothing heavy imported before ``open_graph``.
"""
