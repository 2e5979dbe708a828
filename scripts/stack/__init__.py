"""Everything that has to run on one machine for a rehearsal: PostgreSQL, the simulator and Airflow."""
