"""What a version is given out as: wheel, sources, list of parts, checksums, signature (``make release``)."""
