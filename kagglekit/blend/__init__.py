"""Combining members' out-of-fold predictions, and scoring the blend on rows that did not choose its weights.

::

    matrix.py       predictions of several members by name, row and column; in memory or on disk
    problem.py      what a blend is fitted on: matrix, truth, metric, weights, groups - checked at the door
    base.py         what every method has: fit, predict, fit_score_, nested_score_
    means.py greedy.py climb.py convex.py ridge.py pool.py stacking.py auto.py      the methods
    methods.py      methods by the name used in a pipeline file
    crossfit.py     a method fitted and scored on different rows
    study.py        what each member adds, and how alike members err
    objectives/     the loss of many candidate blends at once, for each kind of metric
    kernels/        the loops that objectives stand on: compiled by numba where it is installed, else numpy
"""
