"""Evaluation."""

MEASURE_ROWS = 1024  # vectors measured at a time: their codes stay in the cache of the processor
AT_A_TIME = 32  # dictionaries that are measured together: a kill costs these at most, the clean pass is made for each
