"""The ranking page: a small web app in which people rank the candidates of a run that waits for them."""
