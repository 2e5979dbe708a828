.DEFAULT_GOAL := help
.PHONY: help demo status down reset test test-pythons test-contract test-safety lint audit lock
export PYTHON SCENARIO ROSTER

help: ## list these targets
	@sed -n 's/^\([a-z-]*\): ## /\1\t/p' $(MAKEFILE_LIST)

demo: ## rehearse the campaign against the simulator (SCENARIO=file ROSTER=file: another story)
	@scripts/venv requirements.txt
	@.venv/bin/python -m scripts.demo

status: ## say what of the rehearsal runs
	@scripts/venv requirements.txt
	@.venv/bin/python -m scripts.stack status

down: ## stop the rehearsal and keep its data
	@scripts/venv requirements.txt
	@.venv/bin/python -m scripts.stack down

reset: ## stop the rehearsal and delete its data
	@scripts/venv requirements.txt
	@.venv/bin/python -m scripts.stack reset

test: ## run all tests, on two cores
	@scripts/test -n 3 --no-loadscope-reorder

test-pythons: ## run all tests but the real Airflow under each Python that is promised and on this machine
	@scripts/test-pythons

test-contract: ## check client and simulator against Microsoft's examples (NCE_CONTRACT_EXAMPLES=folder: others)
	@scripts/test tests/contract

test-safety: ## try to break every rule about money: all crash points, any order of anything, a storm (one to two hours)
	@scripts/venv requirements-dev.txt
	@.venv/bin/python -m scripts.safety

lint: ## check formatting, style, types and imports
	@scripts/venv requirements-dev.txt
	@.venv/bin/python -m scripts.lint

audit: ## ask whether a locked package has a known vulnerability
	@scripts/venv requirements-dev.txt
	@.venv/bin/python -m scripts.audit

lock: ## write the lock files anew (needs uv)
	@scripts/venv requirements.txt
	@.venv/bin/python -m scripts.lock
