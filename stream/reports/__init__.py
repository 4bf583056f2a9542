"""Summaries as documents: page, PDF, workbook, CSV files, the whole force, the public page.

Pure: a ``stream.core.summaries.model.Summary`` in, text or bytes out; no Kafka, no database, no clock, no
network. The
same summary gives the same bytes, and every form says the same: words and tables are made once, in ``view``,
drawings once, in ``charts``, and each form only lays them out.
"""
