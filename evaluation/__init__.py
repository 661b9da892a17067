"""What `eval.py` and the page share: kernels in units, the places they filter at, results and their errors."""
