"""JSON of the API -> what an operator reads: tables, facts and trees, a module for each chapter."""
