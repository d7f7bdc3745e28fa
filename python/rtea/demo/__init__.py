"""`rtea demo`: runs, measures and verifies the whole pipeline on this machine.

`run` starts and stops the parts, `monitor` measures them, `view` displays them, `summary` gives the result.
"""
