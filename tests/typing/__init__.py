"""What type checkers must know of the public surface. These files are checked, and never run."""
