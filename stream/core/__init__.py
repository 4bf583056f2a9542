"""The accounting: pure functions over columns; no Kafka, no database, no clock, no randomness."""
