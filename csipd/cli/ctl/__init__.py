"""The parts of ``csipctl``: what is pure, the way to the server, a module of commands for each chapter."""
