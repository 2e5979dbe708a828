# One image for everything of docker-compose.yaml: Airflow with the locked packages, and this project.
FROM python:3.11.11-slim-bookworm

ENV PYTHONUNBUFFERED=1 \
    PYTHONPATH=/opt/nce \
    AIRFLOW_HOME=/opt/airflow \
    AIRFLOW__CORE__DAGS_FOLDER=/opt/nce/dags \
    AIRFLOW__CORE__PLUGINS_FOLDER=/opt/nce/plugins \
    AIRFLOW__CORE__LOAD_EXAMPLES=False

# Volumes take the owner of the folder they are mounted over when they are first used.
RUN useradd --uid 50000 --create-home nce \
    && install --directory --owner nce --group nce --mode 0750 \
        /opt/airflow /opt/airflow/logs /opt/airflow/auth /opt/simulator

WORKDIR /opt/nce
COPY requirements.txt ./
RUN pip install --no-cache-dir --disable-pip-version-check --no-deps -r requirements.txt

COPY pyproject.toml ./
COPY README.md ./
COPY dags ./dags
COPY plugins ./plugins
COPY include ./include
COPY simulator ./simulator
# So that Airflow finds the connection type; the locked setuptools builds it.
RUN pip install --no-cache-dir --disable-pip-version-check --no-index --no-deps --no-build-isolation --editable .

USER 50000
