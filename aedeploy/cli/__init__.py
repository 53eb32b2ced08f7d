"""The command line: one file a command, each a thin way into one function of the library.

app.py       the commands, put together
options.py   the options that several commands share
tables.py    the one look of all tables
console.py   what is printed where: results to stdout, progress and messages to stderr, errors as one sentence
"""
