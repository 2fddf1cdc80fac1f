"""Twisted and Klein: translation between HTTP and the layers below, and nothing else."""
