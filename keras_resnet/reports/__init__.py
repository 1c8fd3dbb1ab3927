"""What a run shows people: its report, its figures, TensorBoard."""
