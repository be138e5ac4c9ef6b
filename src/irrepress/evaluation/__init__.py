"""What a model is worth: errors, cost, symmetry. Takes models through the Family protocol."""
