"""Boundaries over HTTP: jobs that check and publish files, and the areas as OGC API Features."""
