# What every process that computes runs under: make exports it, and `apps.running` sets it for
# kernels where make did not.
# Waiting threads that spin make torch eight times as slow where another program wants a core.
export OMP_WAIT_POLICY ?= passive
# Memory that is kept need not be handed out page by page again: a third faster on spectrograms.
export MALLOC_MMAP_THRESHOLD_ ?= 1073741824
export MALLOC_TRIM_THRESHOLD_ ?= 4294967296
