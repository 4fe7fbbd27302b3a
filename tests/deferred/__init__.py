"""Stores of delayed calls: what every one must do, and what only those in files must."""
