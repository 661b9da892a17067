"""Tiles as tasks of Dask, on the processes of one machine or on many machines that share a file system.

Results pass through files: tasks return numbers alone, so that neither the scheduler nor the network carries arrays.
"""

from cluster.session import Cluster, connected

__all__ = ["Cluster", "connected"]
