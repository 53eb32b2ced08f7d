"""Export: a trained model cut into graphs, written in formats, proven.

split.py            the model cut into encoder, decoder and autoencoder graphs
formats/<name>.py   one file format each
lint/<rule>.py      what would make graphs wrong, looked for before they are written
own.py              a bundle of somebody's own model
run.py              export_bundle: all of it, onto a bundle
"""

from aedeploy.export.run import ExportResult, export_bundle

__all__ = ["ExportResult", "export_bundle"]
