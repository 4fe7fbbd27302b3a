"""Calls in processes of their own: what crashes there takes nothing else with it."""
