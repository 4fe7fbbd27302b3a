"""The read model and the actions."""
