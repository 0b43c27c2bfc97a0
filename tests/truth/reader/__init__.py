"""A second reader of a run: it recomputes what the runner says from the records alone."""
