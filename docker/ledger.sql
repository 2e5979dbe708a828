-- Run once, when PostgreSQL makes its data folder; may be run again. Airflow's metadata and the ledger are two
-- databases with an owner each. The product uses the ledger by a third role, nce_ledger, which owns nothing: its
-- rights come from the migration. Nobody outside this container is the superuser.

\getenv airflow_password NCE_AIRFLOW_DATABASE_PASSWORD
\getenv owner_password NCE_LEDGER_OWNER_PASSWORD
\getenv ledger_password NCE_LEDGER_PASSWORD

select format('create role %I', name) from unnest(array['nce_airflow', 'nce_ledger_owner', 'nce_ledger']) as name
where not exists (select from pg_roles where rolname = name) \gexec
alter role nce_airflow login password :'airflow_password';
alter role nce_ledger_owner login password :'owner_password';
alter role nce_ledger login password :'ledger_password';

select 'create database nce_ledger' where not exists (select from pg_database where datname = 'nce_ledger') \gexec
alter database nce_airflow owner to nce_airflow;
alter database nce_ledger owner to nce_ledger_owner;

-- Each role gets into its own database only; the migration lets nce_ledger into the ledger.
revoke all on database nce_airflow, nce_ledger from public;
