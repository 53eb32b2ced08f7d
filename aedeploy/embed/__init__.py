"""A bundle inside other programs: the sources of a small one, around that bundle, in another language or without us.

write.py     which graphs, and a folder that loses nothing that was changed in it
contract.py  what every program has as constants
program.py   what a target is given
targets/     one module a target
sources/     the programs' source files, as they are written out

None of it imports torch.
"""

from aedeploy.embed.program import Program
from aedeploy.embed.write import Embedded, target_names, write_program

__all__ = ["Embedded", "Program", "target_names", "write_program"]
