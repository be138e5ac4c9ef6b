"""Generated and perturbed structures."""
