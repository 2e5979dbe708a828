"""What a person does, once: one file for each act.

Command line, board, JSON API and Airflow's answers read what was typed, call an act with its `Author`, and
say the result. The rules of an act are here, and only here a person's word reaches the ledger.
"""
