"""The only part that says "Airflow": operators, triggers, forms, and the composition of the product."""
