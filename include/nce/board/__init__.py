"""The board: one page inside Airflow that says where the campaign stands, and a JSON API beside it.

Responsible for showing what the ledger's queries say, for two forms (an opt-out, a moved date), and for who
may see and do what. Leaves the ledger's facts to `ledger`, what a form may say to `intake`, and opening the
world to whoever mounts it. Runs are looked at, and approvals given, on Airflow's own pages.
"""
