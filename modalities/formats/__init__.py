"""Readers and writers of file formats: path -> arrays and small frozen dataclasses, knowing no modality."""
