"""Training of any family's models: recovery, distillation, fine-tuning."""
