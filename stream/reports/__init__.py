"""Summaries as documents: page, PDF, workbook, CSV files, the whole force, the public page.

Pure: a ``stream.core.summaries.model.Summary`` in, text or bytes out; no Kafka, no database, no clock, no
network. The same summary gives the same bytes, and every form says the same: words are made once, in
``view``, tables in ``listing``, drawings in ``charts``, and each form (``page``, ``pdf``, ``workbook``,
``tables`` for CSV) only lays them out.
"""
