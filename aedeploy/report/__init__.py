"""Pictures of what was measured. They need matplotlib, which is imported when one is drawn.

bench_chart.py   the throughput of every variant
"""
