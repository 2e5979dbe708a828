-- Run once, when PostgreSQL makes its data folder: the ledger lives beside Airflow's metadata, not in it.
create database nce_ledger;
