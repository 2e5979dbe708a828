"""One file per task of the card. A step reads aloud: ask, decide by a domain rule, act, say.

Steps know Partner Center, the ledger and the clock only as the Protocols in `ports`. Airflow is not mentioned
here; what a step's docstring says is what operators read beside the task.
"""
