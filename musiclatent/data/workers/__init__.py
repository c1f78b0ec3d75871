"""Work over many files in processes of this machine, or on a Dask cluster."""
