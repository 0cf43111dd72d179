"""One more token for every open answer, given a key-value cache of what came before."""
