"""Pages and pictures of what was made and measured.

    from aedeploy.report import write_report
    write_report("artifacts/digits-ae").path    # artifacts/digits-ae/report.html

write.py        from a bundle to its page, with an event for each picture
contents.py     what is on the page, part by part
page.py         those parts as one file of HTML: template.html, style.css, script.js
drawings.py     all pictures of a bundle that apply
sprites.py      the images that a script shows, many in one
graphs.py, parity.py, sizes.py, measured.py      the tables
written.py      Markdown of a person as plain text
paths.py        sentences without the paths of this machine
bench_chart.py  the chart of ``aedeploy bench``

Matplotlib and jinja2 are imported when something is drawn or written.
"""

from aedeploy.report.drawings import Begun, Drawing, NotDrawn
from aedeploy.report.write import REPORT_FILE, Report, ReportOptions, write_report, writing_report

__all__ = [
    "REPORT_FILE",
    "Begun",
    "Drawing",
    "NotDrawn",
    "Report",
    "ReportOptions",
    "write_report",
    "writing_report",
]
