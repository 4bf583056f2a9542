"""What residents see: the public's month and the postcode finder."""
