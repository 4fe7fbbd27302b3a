"""The pages, as people read them."""
