"""Finds out why there is no window: checks in the order of an event's path, each with its remedy.

`machine`, `broker`, `producers`, `jobs` and `results` have the checks, `examination` their order and the conclusion. A
new check is a function in one of them and a line in `examination.CHECKS`.
"""
