"""What users do with a model, done with it: measurements on physics, beside the parent."""
