"""The page: a field filtered by a kernel that is under the hand, served on this machine alone (view.py)."""
