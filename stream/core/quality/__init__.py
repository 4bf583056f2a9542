"""What the facts are worth: where they contradict each other (rule 21), and findings about them (rule 22)."""
