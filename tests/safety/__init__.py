"""The proof that money is safe: everything that can go wrong is made to go wrong, and counted.

`make test` takes a short draw of it, `make test-safety` all of it.
"""
