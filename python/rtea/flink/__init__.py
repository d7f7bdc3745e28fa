"""The parts of the job that use PyFlink: source and sinks, the Java operators, the Python UDFs.

Only this package and `rtea.job` import PyFlink.
"""
