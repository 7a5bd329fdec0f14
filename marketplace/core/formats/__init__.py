"""How staff read times: Django looks here by language."""
