"""A simulated n8n: writes executions into an n8n-shaped database exactly as n8n does. A tool for demo, tests and bench.

It knows nothing of the dashboard (no models, no ingest) and writes with psycopg directly, as another program would.
"""

from executions.simulator.api import Run, Simulator
from executions.simulator.guard import NotASimulatedDatabase, create_schema
from executions.simulator.scenarios import Scenario, UnknownScenario
from executions.simulator.services import Box

__all__ = ["Box", "NotASimulatedDatabase", "Run", "Scenario", "Simulator", "UnknownScenario", "create_schema"]
