"""The client of Microsoft's Partner Center REST API.

Reads answers tolerantly, writes requests strictly, sends every write exactly once. It decides nothing: rules
live in `include.nce.domain`, what is sent and remembered in `include.nce.steps`.
"""
