"""What is done with buckets and objects; a module per subject."""
