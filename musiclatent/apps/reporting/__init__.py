"""The report: what each document claims, what a run measures, pictures and sounds."""
