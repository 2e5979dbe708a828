"""Partner Center on localhost: a second, independent reading of the API that the product talks to.

A program of its own: it shares no import with the product, so a misreading on either side shows as a
disagreement.
"""
