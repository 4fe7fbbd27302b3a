"""The read model and the actions that commands, and later the web pages, are made of."""
