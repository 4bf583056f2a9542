"""What a figure is made of: its parts (``explanation``) and the sentences (``wording``)."""
