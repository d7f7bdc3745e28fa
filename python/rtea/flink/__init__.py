"""The job's parts that know PyFlink: sources and sinks, the Java pack operator, the Python UDFs.

Only this room and `rtea.job` import pyflink.
"""
