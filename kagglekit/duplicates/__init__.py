"""Rows and images that come twice, exactly or nearly, and the groups that keep them in one fold.

Nothing here compares all pairs. What is found are *links*: enough pairs to hold every cluster together, not every pair
of a cluster.
"""
