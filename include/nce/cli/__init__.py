"""The command line `nce`: what operators ask of the ledger, and start in Airflow, from a terminal.

Reads and writes the ledger through `include.nce.ledger`, starts runs through Airflow's public REST API, and
decides nothing itself. Answers go to standard output, faults and remarks to standard error.

Exit codes: 0 done; 1 the ledger, Airflow or a run did not do its part; 2 what was typed cannot be used.
"""
