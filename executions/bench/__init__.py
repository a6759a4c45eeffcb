"""The benchmarks behind `manage.py bench`: real processes on databases of their own, each figure beside its reference.

A tool like the simulator: it uses the product from outside, and nothing in the product knows of it. Modules that run
as processes (feed, bare, measured) load no Django, so that their memory and CPU are what their work costs.
"""
