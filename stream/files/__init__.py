"""Files: tracks and bookings in, the account counted from them, its CSV files out, and replay onto Kafka."""
