"""What is known of checkpoints without torch and without the packages of their families."""
