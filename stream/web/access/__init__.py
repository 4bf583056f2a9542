"""Who asks, and what they may see: sign-in, sessions, and one table of rights."""
