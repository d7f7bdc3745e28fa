"""`rtea demo`: the whole pipeline on this machine, watched and proven.

`run` starts and stops the parts, `monitor` measures them, `view` draws them, `summary` judges.
"""
