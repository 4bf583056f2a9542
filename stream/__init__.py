"""What happened and what it amounts to: from positions to shares, live, in files and in reports."""
